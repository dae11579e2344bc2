/**
 * The watchdog's beat: systemd hears that this program lives as long as the kernel does, whichever
 * process that is in. One that hangs is missed, and systemd starts all of it anew.
 */

/** Whether the kernel lives; another one's once a life has begun. */
export interface Pulse {
  alive(): Promise<boolean>;
}

/** Milliseconds between two beats where nobody says how often they are wanted. */
const unwantedMs = 60_000;

/** Tells that it lives three times as often as is wanted (`wantedUs`, 0: not at all); ends it. */
export function beat(tell: () => void, pulse: Pulse, wantedUs: number): () => void {
  const look = async (): Promise<void> => {
    if (await pulse.alive()) tell();
  };
  // The timer also keeps a machine in recovery, which has nothing else to do, from ending.
  const timer = setInterval(() => void look(), wantedUs > 0 ? wantedUs / 3000 : unwantedMs);
  return () => clearInterval(timer);
}
