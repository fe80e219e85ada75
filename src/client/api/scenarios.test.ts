import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/**
 * The situations that a client with rotating tokens gets into, and where each is tested. `here`: the tests in this folder
 * name it in their titles. Some cannot arise, because tabs share no lock and no token, and a page belongs to one person.
 */
const scenarios: Record<string, string> = {
  'SF-01': 'here', // one query, token expired
  'SF-02': 'here', // five at once
  'SF-04': 'here', // one that starts while a refresh runs
  'SF-05': 'here', // ahead of time, nobody waits
  'SF-06': 'here', // the fresh token is refused too
  'SF-08': 'here', // after a failure it works again
  'SF-09': 'here', // fifty during an outage
  'SF-10': 'here', // two clients, one session
  'SF-12': 'here', // a guest
  'BA-01': 'here', // a batch of which some are refused
  'BA-02': 'here', // the context refuses
  'BA-04': 'here', // a proxy answers HTML
  'BA-05': 'here', // the refresh cannot wait for itself
  'BA-06': 'by construction: a refresh is no operation of the client, so it shares no batch',
  'BA-08': 'here', // a generator that is refused while it is read
  'BA-09': 'here', // an abort in a batch
  'BA-10': 'here', // limits of a batch
  'BA-12': 'here', // headers and answers that are broken
  'MU-01': 'here', // a mutation takes effect once
  'MU-03': 'here', // a wrong password
  'MU-04': 'here', // the second sending is lost
  'MU-05': 'here', // inputs that can be sent once
  'MU-07': 'here', // unavailable: may be sent again
  'MU-08': 'not built: a mutation is sent again only where the server has said that nothing was run',
  'SU-01': 'here', // first connection refused
  'SU-02': 'here', // every event once
  'SU-04': 'here', // healthy periods
  'SU-05': 'here', // reconnects carry the token of the day
  'SU-06': 'here', // resumes where it was
  'SU-07': 'here', // the same without a ponyfill: a new connection, a new header
  'SU-10': 'here', // logging out closes it
  'SU-11': 'here', // another person: closed, and a new document
  'SU-12': 'here', // waits out an outage
  'SU-13': 'server: tokens are refused as UNAUTHORIZED, never with a plain error',
  'SU-14': 'here', // a bare HTTP 401
  'SU-15': 'e2e/session-events.test.ts: only a visible tab holds the stream',
  'SU-16': 'here', // a refresh ahead of time leaves it alone
  'RF-01': 'here', // the session is over
  'RF-02': 'here', // no network
  'RF-03': 'here', // the server asks for time
  'RF-06': 'here', // a refresh that is broken
  'RF-07': 'here', // everybody who waits is answered
  'RF-08': 'here', // a no ahead of time
  'RF-09': 'server, and invariants.test.ts: answers are lost there',
  'RF-10': 'does not arise: the server gives racers the same generation',
  'RF-11': 'server: a refused refresh sets and clears no cookie',
  'RF-13': 'here', // whatever is no definite no
  'RF-14': 'here', // no server at start
  'MT-01': 'here', // two tabs at once: each refreshes, neither is signed out
  'MT-02': 'does not arise: tabs share no token, so each asks for its own',
  'MT-03': 'here', // messages carry no token, so a late one delays nobody
  'MT-04': 'here', // N tabs make at most N refreshes
  'MT-05': 'does not arise: there is no lock that a closed tab could hold',
  'MT-07': 'does not arise: there is no lock to wait for while asleep',
  'MT-08': 'here', // no lock is needed
  'MT-09': 'here', // listeners that ask for something
  'MT-10': 'here', // a logout elsewhere; a sign-in elsewhere ends in a new document
  'MT-11': 'here', // a tab that slept: signed out, or a new document
  'MT-13': 'here', // no channel
  'MT-15': 'here', // hidden tabs wait; none takes over the token of another
  'LO-02': 'here', // answers after the logout
  'LO-03': 'here', // a logout without a network
  'LO-04': 'here', // with an expired token
  'LO-05': 'here', // twice
  'LO-07': 'here', // a sign-in during a refresh, without a lock
  'LO-08': 'here', // ended by the server
  'LO-10': 'here', // leaves nothing
  'LO-11': 'here', // a login waits for nothing
  'PR-01': 'here', // a minute ahead
  'PR-04': 'here', // short lives
  'PR-05': 'here', // sleep
  'PR-06': 'here', // clocks that are set
  'PR-07': 'here', // a failure ahead of time
  'PR-08': 'here', // refused before it expires
  'PR-09': 'here', // throttled timers
  'PR-10': 'here', // jitter, so that tabs do not ask at the same moment
  'AB-02': 'here', // aborted before
  'AB-05': 'here', // during the second sending
  'AB-06': 'here', // while waiting
  'AB-07': 'here', // a signal that lives on
  'AB-08': 'here', // afterwards
  'LC-01': 'here', // started twice
  'LC-02': 'here', // disposed
  'LC-04': 'here', // the back/forward cache; no lock to let go of
  'LC-05': 'invariants.test.ts: tabs are restarted there in the middle of everything',
  'LC-06': 'here', // offline and online
  'LC-09': 'here', // no browser
  'LC-10': 'here', // looked at again and again
  'SE-01': 'here', // no token anywhere
  'SE-02': 'client.ts: one origin, no redirects',
  'SE-03': 'server: JSON only, and the origin check',
  'SE-04': 'server: the cookie',
  'SE-05': 'server: no-store',
  'SE-07': 'here, as SF-06: whatever the header, one refresh',
  'SE-08': 'here', // nonsense on the channel
  'SE-09': 'server: the session protocol',
  'SE-10': 'here', // what a refresh has answered is not shown
};

describe('the catalogue', () => {
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
