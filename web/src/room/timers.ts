// After how long messages disappear, as it is offered: in seconds, 0 for never.
export const TIMERS = [0, 3_600, 86_400, 604_800, 2_592_000] as const;

export function isTimer(seconds: number): seconds is (typeof TIMERS)[number] {
  return TIMERS.some((timer) => timer === seconds);
}
