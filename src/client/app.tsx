import { QueryClientProvider } from '@tanstack/react-query';
import { BrowserRouter, useRoutes } from 'react-router';
import { trpc, trpcClient } from './api/client.ts';
import { queryClient } from './api/query-client.ts';
import { routes } from './routes.tsx';
import { ErrorBoundary } from './ui/error-boundary.tsx';

export function App() {
  return (
    <ErrorBoundary>
      <trpc.Provider client={trpcClient} queryClient={queryClient}>
        <QueryClientProvider client={queryClient}>
          <BrowserRouter>
            <Routes />
          </BrowserRouter>
        </QueryClientProvider>
      </trpc.Provider>
    </ErrorBoundary>
  );
}

const Routes = () => useRoutes(routes);
