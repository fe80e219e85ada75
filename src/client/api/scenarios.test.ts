import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/**
 * The scenarios that a client with rotating tokens meets, and where each is tested. `here`: test titles in this
 * folder name it. Some cannot arise, because tabs share no lock and no token, and a page belongs to one person.
 */
const scenarios: Record<string, string> = {
  'SF-01': 'here', // one query, token expired
  'SF-02': 'here', // five concurrent queries
  'SF-04': 'here', // a call started during a refresh
  'SF-05': 'here', // early, nobody waits
  'SF-06': 'here', // the fresh token is refused too
  'SF-08': 'here', // recovers after a failure
  'SF-09': 'here', // fifty during an outage
  'SF-10': 'here', // two clients, one session
  'SF-12': 'here', // a guest
  'BA-01': 'here', // a partly refused batch
  'BA-02': 'here', // the context refuses
  'BA-04': 'here', // a proxy answers HTML
  'BA-05': 'here', // the refresh cannot wait for itself
  'BA-06': 'by construction: a refresh is not an operation of the client, so it shares no batch',
  'BA-08': 'here', // a generator refused while being read
  'BA-09': 'here', // an abort in a batch
  'BA-10': 'here', // limits of a batch
  'BA-12': 'here', // broken headers and responses
  'MU-01': 'here', // a mutation takes effect once
  'MU-03': 'here', // a wrong password
  'MU-04': 'here', // the second attempt is lost
  'MU-05': 'here', // inputs that can be sent once
  'MU-07': 'here', // unavailable: may be retried
  'MU-08': 'not built: a mutation is retried only if the server reports that nothing ran',
  'SU-01': 'here', // first connection refused
  'SU-02': 'here', // every event once
  'SU-04': 'here', // healthy periods
  'SU-05': 'here', // reconnects carry the current token
  'SU-06': 'here', // resumes where it was
  'SU-07': 'here', // the same without a ponyfill: a new connection, a new header
  'SU-10': 'here', // logging out closes it
  'SU-11': 'here', // another person: closed, and a new document
  'SU-12': 'here', // waits out an outage
  'SU-13': 'server: tokens are refused as UNAUTHORIZED, never with a plain error',
  'SU-14': 'here', // a bare HTTP 401
  'SU-15': 'e2e/session-events.test.ts: only a visible tab holds the stream',
  'SU-16': 'here', // a refresh ahead of time leaves it alone
  'RF-01': 'here', // the session has ended
  'RF-02': 'here', // no network
  'RF-03': 'here', // Retry-After
  'RF-06': 'here', // a broken refresh
  'RF-07': 'here', // all waiting calls settle
  'RF-08': 'here', // an early refusal
  'RF-09': 'server, and invariants.test.ts: answers are lost there',
  'RF-10': 'does not arise: the server gives racers the same generation',
  'RF-11': 'server: a refused refresh sets and clears no cookie',
  'RF-13': 'here', // anything but a definite refusal
  'RF-14': 'here', // no server at start
  'MT-01': 'here', // two concurrent tabs: each refreshes, neither is signed out
  'MT-02': 'does not arise: tabs share no token, so each asks for its own',
  'MT-03': 'here', // messages carry no token, so a late one delays nobody
  'MT-04': 'here', // N tabs make at most N refreshes
  'MT-05': 'does not arise: there is no lock that a closed tab could hold',
  'MT-07': 'does not arise: there is no lock to wait for while asleep',
  'MT-08': 'here', // no lock is needed
  'MT-09': 'here', // listeners that make calls
  'MT-10': 'here', // a logout elsewhere; a sign-in elsewhere ends in a new document
  'MT-11': 'here', // a sleeping tab: signed out, or a new document
  'MT-13': 'here', // no channel
  'MT-15': 'here', // hidden tabs wait; none adopts the token of another
  'LO-02': 'here', // responses after the logout
  'LO-03': 'here', // a logout without a network
  'LO-04': 'here', // with an expired token
  'LO-05': 'here', // twice
  'LO-07': 'here', // a sign-in during a refresh, without a lock
  'LO-08': 'here', // ended by the server
  'LO-10': 'here', // leaves nothing behind
  'LO-11': 'here', // a login waits for nothing
  'PR-01': 'here', // a minute ahead
  'PR-04': 'here', // short lifetimes
  'PR-05': 'here', // sleep
  'PR-06': 'here', // changed clocks
  'PR-07': 'here', // an early refresh that fails
  'PR-08': 'here', // refused before it expires
  'PR-09': 'here', // throttled timers
  'PR-10': 'here', // jitter, so that tabs do not refresh in step
  'AB-02': 'here', // aborted before
  'AB-05': 'here', // during the second attempt
  'AB-06': 'here', // while waiting
  'AB-07': 'here', // a long-lived signal
  'AB-08': 'here', // afterwards
  'LC-01': 'here', // started twice
  'LC-02': 'here', // disposed
  'LC-04': 'here', // the back/forward cache; no lock to release
  'LC-05': 'invariants.test.ts: tabs restart there at any point',
  'LC-06': 'here', // offline and online
  'LC-09': 'here', // no browser
  'LC-10': 'here', // shown again and again
  'SE-01': 'here', // no token anywhere
  'SE-02': 'client.ts: one origin, no redirects',
  'SE-03': 'server: JSON only, and the origin check',
  'SE-04': 'server: the cookie',
  'SE-05': 'server: no-store',
  'SE-07': 'here, as SF-06: whatever the header, one refresh',
  'SE-08': 'here', // nonsense on the channel
  'SE-09': 'server: the session protocol',
  'SE-10': 'here', // the response of a refresh is not exposed
};

describe('the catalog', () => {
  it('is tested where the table says', () => {
    const folder = new URL('./', import.meta.url);
    const tests = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts') && !name.startsWith('scenarios'))
      .map((name) => readFileSync(new URL(name, folder), 'utf8'))
      .join();
    const missing = Object.entries(scenarios).filter(([id, where]) => where === 'here' && !tests.includes(`${id} `));
    expect(missing).toEqual([]);
  });
});
