// Which dialog is open: one at a time, wherever it was asked for.
export type Open =
  | { kind: 'create'; room: 'group' | 'channel' }
  | { kind: 'join'; link: string }
  | { kind: 'joining'; room: string }
  | { kind: 'invite'; room: string }
  | { kind: 'export'; room: string }
  | { kind: 'palette' }
  | { kind: 'keys' }
  | { kind: 'contact' }
  | { kind: 'card' }
  | { kind: 'safety'; account: string };

class Dialogs {
  now = $state.raw<Open | null>(null);
  open(what: Open): void {
    this.now = what;
  }
  close(): void {
    this.now = null;
  }
}

export const dialogs = new Dialogs();
