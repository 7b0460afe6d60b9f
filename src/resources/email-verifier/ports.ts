/** What a source of verdicts on addresses is. */

import type { Verdict } from './schema.ts';

/** Says of an address whether mail to it can arrive, as far as that can be known without writing to it. */
export interface EmailVerifier {
  /** Kept with each of its verdicts. */
  name: string;
  /** Whole credits for a verdict; `unknown` costs nothing. */
  price: number;
  /**
   * Judges one address in lower case. Never throws: what could not be found out is `unknown`, and so is what was given up
   * because `signal` aborted. It ends by itself within seconds.
   */
  verify(address: string, signal: AbortSignal): Promise<Verdict>;
}
