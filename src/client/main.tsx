import './zod-without-eval.ts';
import './styles.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { session } from './api/app-session.ts';
import { listenToServer } from './api/session-events.ts';
import { App } from './app.tsx';
import { routes } from './routes.tsx';
import { preloadPage } from './ui/lazy-page.tsx';

// In parallel with the session. Guests are redirected to the login page and need no other.
if (session.state.status !== 'signed-out') preloadPage(routes, window.location.pathname);

createRoot(document.querySelector('#root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

listenToServer();
