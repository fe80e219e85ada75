import { QueryClientProvider } from '@tanstack/react-query';
import { Outlet } from 'react-router';
import { trpc, trpcClient } from './client.ts';
import { queryClient } from './query-client.ts';

export default function QueryProvider() {
  return (
    <trpc.Provider client={trpcClient} queryClient={queryClient}>
      <QueryClientProvider client={queryClient}>
        <Outlet />
      </QueryClientProvider>
    </trpc.Provider>
  );
}
