import { BrowserRouter, useRoutes } from 'react-router';
import { routes } from './routes.tsx';
import { ErrorBoundary } from './ui/error-boundary.tsx';

export function App() {
  return (
    <ErrorBoundary>
      <BrowserRouter>
        <Routes />
      </BrowserRouter>
    </ErrorBoundary>
  );
}

const Routes = () => useRoutes(routes);
