/** Markdown as blocks of safe DOM: finished blocks keep their text, so that only the last one is made anew while it grows. */

import DOMPurify from 'dompurify';
import { lexer, parse } from 'marked';

/** What words may become; anything else (images, styles, forms, frames, handlers) is dropped. */
const ALLOWED_TAGS =
  'p br hr strong em del code pre blockquote ul ol li a h1 h2 h3 h4 h5 h6 table thead tbody tr th td input'.split(
    ' ',
  );
const ALLOWED_ATTR = ['href', 'align', 'start', 'type', 'checked', 'disabled'];
const ALLOWED_ADDRESSES = /^(?:https?:|mailto:)/i;

/** The top-level blocks as Markdown text. */
export function blocksOf(text: string): string[] {
  return lexer(text).flatMap((token) => (token.type === 'space' ? [] : [token.raw]));
}

/** One block as DOM that can neither run nor fetch anything. Links open elsewhere and tell nothing of this page. */
export function renderBlock(block: string): DocumentFragment {
  const root = DOMPurify.sanitize(parse(block, { async: false }), {
    ALLOWED_TAGS,
    ALLOWED_ATTR,
    ALLOWED_URI_REGEXP: ALLOWED_ADDRESSES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of root.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  // What the model calls a heading stands inside a message, below the page's own.
  for (const heading of root.querySelectorAll('h1, h2, h3')) {
    const lower = document.createElement('h4');
    lower.append(...heading.childNodes);
    heading.replaceWith(lower);
  }
  for (const input of root.querySelectorAll('input')) {
    input.disabled = true;
    input.setAttribute('aria-label', input.checked ? 'done' : 'open');
    if (input.type !== 'checkbox') input.remove();
  }
  for (const wide of root.querySelectorAll('table, pre')) {
    const frame = document.createElement('div');
    frame.className = wide.tagName === 'PRE' ? 'code-frame' : 'table-frame';
    wide.replaceWith(frame);
    frame.append(wide);
    if (wide.tagName === 'PRE') frame.append(copyButton(wide));
    const scroller = wide.tagName === 'PRE' ? (wide as HTMLElement) : frame;
    scroller.tabIndex = 0;
    scroller.setAttribute('role', 'region');
    scroller.setAttribute('aria-label', wide.tagName === 'PRE' ? 'Code' : 'Table');
  }
  return root;
}

function copyButton(code: Element): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy-code';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = 'Copied';
  });
  return button;
}
