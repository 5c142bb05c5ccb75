// Addresses in messages: only those that lead out, and where they really lead.
export function safe(url: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(url);
}

/** The host as a person should read it: the browser has made foreign letters visible (punycode). */
export function host(url: string): string {
  try {
    const parsed = new URL(url);
    return parsed.protocol === 'mailto:' ? parsed.pathname : parsed.host;
  } catch {
    return '';
  }
}
