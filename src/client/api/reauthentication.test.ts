import type { Operation } from '@trpc/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { reauthentication } from './reauthentication.ts';

const query = { type: 'query' } as Operation;
const mutation = { type: 'mutation' } as Operation;
const ask = (signal = new AbortController().signal) => reauthentication.reauthenticate({ signal });
const page = new EventTarget();
let showing: () => void;

beforeEach(() => {
  vi.stubGlobal('document', page);
  showing = reauthentication.subscribe(() => {});
});

afterEach(() => {
  page.dispatchEvent(new Event('keydown'));
  showing();
  vi.unstubAllGlobals();
});

describe('the question who is there', () => {
  it('is shown until it is answered', async () => {
    const listener = vi.fn<() => void>();
    const unsubscribe = reauthentication.subscribe(listener);
    const asking = ask();
    expect(listener).toHaveBeenCalledTimes(1);
    const question = reauthentication.question();
    question?.answer(true);
    expect(await asking).toBe(true);
    expect(reauthentication.question()).toBeUndefined();
    expect(listener).toHaveBeenCalledTimes(2);
    unsubscribe();
    // A late click.
    question?.answer(false);
    expect(reauthentication.mayAsk(query)).toBe(true);
  });

  it('is withdrawn with its signal', async () => {
    const controller = new AbortController();
    const asking = ask(controller.signal);
    controller.abort();
    expect(await asking).toBe(false);
    expect(reauthentication.question()).toBeUndefined();
  });

  it('is answered with no where nothing shows it', async () => {
    showing();
    expect(await ask()).toBe(false);
  });
});

describe('after a cancel', () => {
  it.each(['pointerdown', 'keydown'])('queries do not ask until there has been a %s; mutations do', async (type) => {
    const asking = ask();
    reauthentication.question()?.answer(false);
    expect(await asking).toBe(false);
    expect([reauthentication.mayAsk(query), reauthentication.mayAsk(mutation)]).toEqual([false, true]);
    page.dispatchEvent(new Event(type));
    expect(reauthentication.mayAsk(query)).toBe(true);
  });
});
