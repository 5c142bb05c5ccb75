// One hub for all windows of this browser.
import { browserWorld } from './browser';
import { Hub, type Told } from './hub';

/** What a window says to the worker. */
export type Said = { kind: 'hello'; token: string } | { kind: 'hurry' } | { kind: 'bye' };

const ports = new Set<MessagePort>();
let token = '';

function tellAll(told: Told): void {
  for (const port of ports) port.postMessage(told);
}

const hub = new Hub(
  browserWorld(() => token),
  tellAll,
);

(globalThis as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0]!;
  port.onmessage = ({ data }: MessageEvent<Said>) => {
    if (data.kind === 'bye') {
      ports.delete(port);
      if (ports.size === 0) hub.rest();
    } else if (data.kind === 'hurry') {
      hub.hurry();
    } else {
      ports.add(port);
      const changed = token !== data.token;
      token = data.token;
      // Also where the node refused the token of another window.
      if (changed || hub.refused) hub.restart();
      // The page may have been unlocked, or nobody was there.
      else hub.hurry();
      port.postMessage({ kind: 'state', state: hub.state } satisfies Told);
    }
  };
};
