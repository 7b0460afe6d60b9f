/**
 * The chat as a custom element for other people's pages, in a shadow root of its own:
 *
 *     <script src="https://overture.example/embed.js" async></script>
 *     <overture-chat token="…" heading="Ask Overture" page-context='{"campaign": "Q4"}'></overture-chat>
 *
 * Attributes: `service` (default: where the script came from), `token`, `heading`, `page-context` (JSON), `open`.
 * Property `tokenSource`: a function that gives a fresh token before each request, in place of `token`.
 */

import { createRoot, type Root } from 'react-dom/client';
import { schedule, soon, storageOf, tabsOf } from './browser.ts';
import { createMemory, type Memory } from './state/memory.ts';
import { createPage, type PageModel } from './state/page.ts';
import type { Browser } from './state/router.ts';
import styles from './style/embed.css?inline';
import { SurroundingsContext } from './view/model.tsx';
import { Widget } from './view/Widget.tsx';

const script = document.currentScript;
const home = script instanceof HTMLScriptElement ? new URL(script.src).origin : location.origin;

/** The address bar is the host page's; the conversation stays open over its pages all the same. */
function keptPlace(memory: Memory): Browser {
  return {
    path: () => memory.read<string>('place') ?? '/',
    go: (path) => memory.write('place', path),
    onBack: () => {},
  };
}

class OvertureChat extends HTMLElement {
  static readonly observedAttributes = ['page-context', 'open', 'heading', 'token'];

  /** Asked before each request; wins over the attribute. */
  tokenSource: (() => string | undefined | Promise<string | undefined>) | undefined;
  #model: PageModel | null = null;
  #root: Root | null = null;

  connectedCallback(): void {
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(styles);
    shadow.adoptedStyleSheets = [sheet];
    const baseUrl = this.getAttribute('service') ?? home;
    const tabStorage = storageOf('sessionStorage');
    const model = createPage({
      baseUrl,
      browser: keptPlace(createMemory(tabStorage, 'overture:')),
      storage: storageOf('localStorage'),
      tabStorage,
      tabs: tabsOf(),
      soon,
      schedule,
      now: () => Date.now(),
      tokenSource: () => this.tokenSource?.() ?? this.getAttribute('token') ?? undefined,
    });
    this.#model = model;
    model.setHostContext(this.#pageContext());
    const holder = document.createElement('div');
    holder.className = 'overture';
    shadow.replaceChildren(holder);
    this.#root = createRoot(holder);
    this.#show();
    void model.start();
  }

  disconnectedCallback(): void {
    this.#root?.unmount();
    this.#model?.stop();
    this.#root = null;
    this.#model = null;
  }

  attributeChangedCallback(name: string): void {
    if (this.#model === null) return;
    if (name === 'page-context') this.#model.setHostContext(this.#pageContext());
    // A page may have its token only after its widget.
    if (name === 'token') void this.#model.start();
    this.#show();
  }

  #show(): void {
    if (this.#model === null) return;
    this.#root?.render(
      <SurroundingsContext.Provider
        value={{ model: this.#model, kind: 'widget', notifications: null, extras: null }}
      >
        <Widget
          heading={this.getAttribute('heading') ?? 'Ask Overture'}
          open={this.hasAttribute('open')}
          onOpen={(open) => this.toggleAttribute('open', open)}
        />
      </SurroundingsContext.Provider>,
    );
  }

  #pageContext(): Record<string, unknown> | null {
    const text = this.getAttribute('page-context');
    if (text === null || text.trim() === '') return null;
    try {
      const context: unknown = JSON.parse(text);
      return typeof context === 'object' && context !== null && !Array.isArray(context)
        ? { ...context }
        : { page: context };
    } catch {
      return { page: text };
    }
  }
}

if (customElements.get('overture-chat') === undefined) customElements.define('overture-chat', OvertureChat);
