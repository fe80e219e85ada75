import { useSyncExternalStore } from 'react';
import { session } from '../api/app-session.ts';

const subscribe = (listener: () => void) => session.subscribe(listener);
const state = () => session.state;

export const useSession = () => useSyncExternalStore(subscribe, state);
