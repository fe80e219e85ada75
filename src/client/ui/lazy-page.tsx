import { type ComponentType, createElement, lazy } from 'react';
import { matchRoutes, type RouteObject } from 'react-router';
import { Button } from './button.tsx';
import { Notice } from './notice.tsx';
import { Page } from './page.tsx';

type Load = () => Promise<{ default: ComponentType }>;

/** The part of a route that shows a page downloaded on demand. @param load `() => import('./pages/notes.tsx')` */
export function lazyPage(load: Load): Pick<RouteObject, 'element' | 'handle'> {
  const found: Load = () =>
    load().catch((error: unknown) => {
      reportError(error);
      return { default: NotLoaded };
    });
  return { element: createElement(lazy(found)), handle: { load } };
}

export function preloadPage(routes: RouteObject[], pathname: string): void {
  for (const { route } of matchRoutes(routes, pathname) ?? []) {
    const { load } = (route.handle ?? {}) as { load?: Load };
    // Rendering imports it again, and handles a failure.
    load?.().catch(() => {});
  }
}

/** Usually a deploy has removed the files this page was built with; otherwise there is no network. */
function NotLoaded() {
  return (
    <div className="flex max-w-prose flex-col items-start gap-6">
      <Page title="Page not loaded">
        <Notice tone="problem">
          This page could not be loaded. There may be a new version of the app, or no connection.
        </Notice>
        <Button onClick={() => window.location.reload()}>Reload</Button>
      </Page>
    </div>
  );
}
