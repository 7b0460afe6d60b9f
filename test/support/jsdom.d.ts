/** As much of jsdom as the tests use; its published types bring the whole DOM into every file. */

declare module 'jsdom' {
  export class JSDOM {
    constructor(html: string, options?: { url?: string; pretendToBeVisual?: boolean });
    readonly window: object;
  }
}
