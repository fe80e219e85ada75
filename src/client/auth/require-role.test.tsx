import { renderToStaticMarkup } from 'react-dom/server';
import { MemoryRouter, useRoutes } from 'react-router';
import { describe, expect, it, vi } from 'vitest';
import type { Role } from '../../shared/auth.ts';
import { RequireRole } from './require-role.tsx';

const session = vi.hoisted(() => ({ state: {} as object }));
vi.mock('./use-session.ts', () => ({ useSession: () => session.state }));

const Routes = ({ is }: { is: Role | Role[] }) =>
  useRoutes([{ element: <RequireRole is={is} />, children: [{ path: '/', element: 'The page' }] }]);

function shown(state: { status: string; user?: { role: Role } }, is: Role | Role[] = 'admin'): string {
  session.state = state;
  return renderToStaticMarkup(
    <MemoryRouter>
      <Routes is={is} />
    </MemoryRouter>,
  );
}

describe('RequireRole', () => {
  it('shows the page to members with the role', () => {
    expect(shown({ status: 'signed-in', user: { role: 'admin' } })).toBe('The page');
  });

  it('shows the page to members with one of several roles', () => {
    expect(shown({ status: 'signed-in', user: { role: 'user' } }, ['admin', 'user'])).toBe('The page');
  });

  it('tells other members that they may not', () => {
    const page = shown({ status: 'signed-in', user: { role: 'user' } });
    expect(page).toContain('You are not allowed to see this page');
    expect(page).not.toContain('The page');
  });

  it('shows nothing once the session has ended', () => {
    expect(shown({ status: 'signed-out' })).toBe('');
  });
});
