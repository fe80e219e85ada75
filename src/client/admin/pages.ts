import { useInfiniteQuery } from '@tanstack/react-query';
import { getQueryKey } from '@trpc/react-query';
import type { PeopleInput } from '../../shared/admin.ts';
import { trpc, trpcClient } from '../api/client.ts';
import type { AuditFilter } from './audit-filter.ts';

// Not tRPC's `useInfiniteQuery`, which adds a `direction` to the input that the server does not take.

const paging = {
  initialPageParam: undefined as string | undefined,
  getNextPageParam: ({ nextCursor }: { nextCursor: string | null }) => nextCursor,
};

const from = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor });

export const usePeople = (input: Pick<PeopleInput, 'search'>) =>
  useInfiniteQuery({
    ...paging,
    queryKey: getQueryKey(trpc.admin.people, input, 'infinite'),
    queryFn: ({ pageParam, signal }) => trpcClient.admin.people.query({ ...input, ...from(pageParam) }, { signal }),
  });

export const useAudit = (filter: AuditFilter) =>
  useInfiniteQuery({
    ...paging,
    queryKey: getQueryKey(trpc.admin.audit, filter, 'infinite'),
    queryFn: ({ pageParam, signal }) => trpcClient.admin.audit.query({ ...filter, ...from(pageParam) }, { signal }),
  });
