// A window's end of the connection: through the SharedWorker where there is one, else by a hub of its own.
import { browserWorld } from './browser';
import { Hub, type Told } from './hub';
import type { Said } from './worker';
import workerPath from './worker?sharedworker&url';

export interface Link {
  hurry(): void;
  /** The token is good all the same: connect with it. */
  again(): void;
  close(): void;
}

/** Whether a link of this window ended before. */
let again = false;

export function openLink(token: string, hear: (told: Told) => void): Link {
  // Meanwhile the page was locked, or the session was over: nobody told this window anything.
  if (again) hear({ kind: 'reload' });
  again = true;
  return typeof SharedWorker === 'undefined' ? alone(token, hear) : (shared(token, hear) ?? alone(token, hear));
}

function alone(token: string, hear: (told: Told) => void): Link {
  const hub = new Hub(
    browserWorld(() => token),
    hear,
  );
  void hub.connect();
  return { hurry: () => hub.hurry(), again: () => hub.restart(), close: () => hub.stop() };
}

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
}

let policy: { createScriptURL(url: string): string } | undefined;

/** Trusted Types: the only script of ours that is started by its address is the worker. */
function trusted(url: URL): string {
  const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes;
  if (!types) return url.href;
  policy ??= types.createPolicy('parlor-worker', {
    createScriptURL(wanted) {
      if (new URL(wanted).origin !== location.origin) throw new TypeError('a worker of another origin');
      return wanted;
    },
  });
  return policy.createScriptURL(url.href);
}

function shared(token: string, hear: (told: Told) => void): Link | null {
  let worker: SharedWorker;
  try {
    worker = new SharedWorker(trusted(workerUrl()), { type: 'module', name: 'parlor' });
  } catch {
    return null;
  }
  const say = (said: Said): void => worker.port.postMessage(said);
  worker.port.onmessage = ({ data }: MessageEvent<Told>) => hear(data);
  worker.port.start();
  say({ kind: 'hello', token });
  const bye = (): void => say({ kind: 'bye' });
  addEventListener('pagehide', bye);
  // A page that comes back from the browser's cache says hello again.
  const back = (event: PageTransitionEvent): void => {
    if (!event.persisted) return;
    // Meanwhile nobody told it anything.
    hear({ kind: 'reload' });
    say({ kind: 'hello', token });
  };
  addEventListener('pageshow', back);
  return {
    hurry: () => say({ kind: 'hurry' }),
    again: () => say({ kind: 'hello', token }),
    close: () => {
      bye();
      removeEventListener('pagehide', bye);
      removeEventListener('pageshow', back);
    },
  };
}

function workerUrl(): URL {
  return new URL(workerPath, location.origin);
}
