import { QueryClientProvider } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { trpc, trpcClient } from './client.ts';
import { queryClient } from './query-client.ts';

export function QueryProvider({ children }: { children: ReactNode }) {
  return (
    <trpc.Provider client={trpcClient} queryClient={queryClient}>
      <QueryClientProvider client={queryClient}>{children}</QueryClientProvider>
    </trpc.Provider>
  );
}
