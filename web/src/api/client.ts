// The one way to the node: typed requests with the session's token, problems as exceptions.
import createClient from 'openapi-fetch';
import type { paths } from './schema';
import type { Problem, Restoring, UploadedFile } from './types';

/** What the node answered instead of what was asked for. */
export class Trouble extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly hint: string,
    readonly status: number,
    /** Says more than `code`, where the node knows more. */
    readonly reason = '',
  ) {
    super(detail);
  }
}

let token = '';
let onUnauthorized = (): void => undefined;
let onLocked = (): void => undefined;

export function setToken(value: string): void {
  token = value;
}

export function bearer(): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Called once the node does not know the token (any more). */
export function whenUnauthorized(call: () => void): void {
  onUnauthorized = call;
}

/** Called once the node says that the page is locked: another window, or another browser, did that. */
export function whenLocked(call: () => void): void {
  onLocked = call;
}

const UNREACHABLE = new Trouble('unreachable', '', '', 0);

const client = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? '',
  fetch: async (request: Request) => {
    try {
      return await fetch(request);
    } catch {
      throw UNREACHABLE;
    }
  },
});
client.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(bearer())) request.headers.set(name, value);
  },
});

export const { GET, POST, PUT, PATCH, DELETE } = client;

/** Turns what the node says went wrong into a `Trouble`. */
export function trouble(problem: unknown, response: Response): Trouble {
  if (response.status === 401) onUnauthorized();
  const p = (problem ?? {}) as Partial<Problem>;
  if (response.status === 503 && String(p.code) === 'passphrase_needed') onLocked();
  const { code = 'internal', detail, title, hint = '', reason_code: reason } = p;
  return new Trouble(String(code), detail ?? title ?? '', hint ?? '', response.status, reason ?? '');
}

/** The answer of a request, or the problem as an exception. */
export async function ok<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw trouble(error, response);
  return data as T;
}

/** A request the description does not type (bytes in or out). */
export async function raw(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { ...bearer(), ...(init.headers as Record<string, string>) } });
  } catch {
    throw UNREACHABLE;
  }
  if (!response.ok) throw trouble(await response.json().catch(() => null), response);
  return response;
}

/** JSON to a route, JSON back: for routes that the committed description does not have yet. */
export async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await raw(path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/** Hands bytes to the node; `progress` is told how many went. Fetch has no upload progress, so this is an XMLHttpRequest. */
function hand<T>(
  method: string,
  path: string,
  file: Blob,
  progress: (sent: number) => void,
  abort: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    for (const [key, value] of Object.entries(bearer())) request.setRequestHeader(key, value);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.responseType = 'json';
    request.upload.addEventListener('progress', (event) => progress(event.loaded));
    request.addEventListener('load', () => {
      if (request.status < 300) resolve(request.response as T);
      else reject(trouble(request.response, new Response(null, { status: request.status || 500 })));
    });
    request.addEventListener('error', () => reject(UNREACHABLE));
    request.addEventListener('abort', () => reject(new Trouble('aborted', '', '', 0)));
    abort.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** Hands a file to the node, for a message. */
export function upload(
  file: Blob,
  name: string,
  keepMetadata: boolean,
  progress: (sent: number) => void,
  abort: AbortSignal,
): Promise<UploadedFile> {
  const query = new URLSearchParams({ name, mime: file.type || 'application/octet-stream' });
  if (keepMetadata) query.set('keep_metadata', 'true');
  return hand('POST', `/api/v1/files?${query}`, file, progress, abort);
}

/** Hands a backup to a node that is new. */
export function handBackup(file: Blob, progress: (sent: number) => void, abort: AbortSignal): Promise<Restoring> {
  return hand('PUT', '/api/v1/web/setup/backup', file, progress, abort);
}
