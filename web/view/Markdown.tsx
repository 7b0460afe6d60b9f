/**
 * A text of the agent, rendered block by block. It is read as Markdown and becomes elements, never HTML text: there is
 * nothing in it that could run, fetch or style, so nothing has to be cleaned. Markup in the text is shown as it stands.
 */

import { Lexer, type MarkedToken, type Token, type Tokens } from 'marked';
import { Fragment, memo, type ReactNode, useMemo } from 'react';
import { useCopy } from './copy.ts';
import { Scroll } from './Scroll.tsx';

/** Where a link may lead; any other is shown as its words. */
const ADDRESS = /^(?:https?:\/\/|mailto:)/i;

export const Markdown = memo(function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const blocks = useMemo(() => placed(Lexer.lex(text).filter((token) => token.type !== 'space')), [text]);
  return (
    <div className={growing ? 'markdown growing' : 'markdown'}>
      {blocks.map(({ token, place }) => (
        <Block key={place} token={token} />
      ))}
    </div>
  );
});

/** A block that did not change is not made again while the text grows. */
const Block = memo(
  function Block({ token }: { token: Token }) {
    return <div className="block">{block(token)}</div>;
  },
  (before, after) => before.token.raw === after.token.raw,
);

function placed<T>(tokens: readonly T[]): { token: T; place: number }[] {
  return tokens.map((token, place) => ({ token, place }));
}

function blocks(tokens: readonly Token[] | undefined): ReactNode {
  return placed(tokens ?? []).map(({ token, place }) => <Fragment key={place}>{block(token)}</Fragment>);
}

function inline(tokens: readonly Token[] | undefined): ReactNode {
  return placed(tokens ?? []).map(({ token, place }) => <Fragment key={place}>{span(token)}</Fragment>);
}

function block(given: Token): ReactNode {
  const token = given as MarkedToken;
  switch (token.type) {
    case 'paragraph':
      return <p>{inline(token.tokens)}</p>;
    case 'heading':
      // What the model calls a heading stands inside a message, below the page's own.
      return token.depth < 3 ? <h2>{inline(token.tokens)}</h2> : <h3>{inline(token.tokens)}</h3>;
    case 'code':
      return <Code text={token.text} />;
    case 'blockquote':
      return <blockquote>{blocks(token.tokens)}</blockquote>;
    case 'list': {
      const items = placed(token.items).map(({ token: item, place }) => (
        <li key={place}>{blocks(item.tokens)}</li>
      ));
      return token.ordered ? <ol start={token.start === '' ? 1 : token.start}>{items}</ol> : <ul>{items}</ul>;
    }
    case 'table':
      return <Table table={token} />;
    case 'hr':
      return <hr />;
    case 'space':
    case 'def':
      return null;
    case 'html':
      return <p>{token.text}</p>;
    default:
      return span(given);
  }
}

function span(given: Token): ReactNode {
  const token = given as MarkedToken;
  switch (token.type) {
    case 'strong':
      return <strong>{inline(token.tokens)}</strong>;
    case 'em':
      return <em>{inline(token.tokens)}</em>;
    case 'del':
      return <del>{inline(token.tokens)}</del>;
    case 'codespan':
      return <code>{token.text}</code>;
    case 'br':
      return <br />;
    case 'checkbox':
      return (
        <input
          type="checkbox"
          checked={token.checked}
          disabled
          aria-label={token.checked ? 'done' : 'open'}
        />
      );
    case 'link':
    case 'image':
      // A picture from elsewhere would tell its server who reads this; it is a link, which a person may follow.
      return (
        <Address href={token.href}>
          {token.type === 'image' ? `[${token.text || 'picture'}]` : inline(token.tokens)}
        </Address>
      );
    case 'text':
      return 'tokens' in token && token.tokens !== undefined ? inline(token.tokens) : plain(token.text);
    case 'escape':
      return token.text;
    default:
      return 'text' in given ? String(given.text) : given.raw;
  }
}

function Address({ href, children }: { href: string; children: ReactNode }) {
  if (!ADDRESS.test(href)) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

/** Text with its character references resolved, those that models write. */
function plain(text: string): string {
  return text.replace(/&(?:#(\d{1,6})|#x([\da-f]{1,6})|(\w{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[String(name).toLowerCase()] ?? whole;
    const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 31 && code < 0xd800 ? String.fromCodePoint(code) : whole;
  });
}

function Table({ table }: { table: Tokens.Table }) {
  const cells = (row: readonly Tokens.TableCell[]) =>
    placed(row).map(({ token, place }) => {
      const className = token.align === null ? undefined : `to-${token.align}`;
      return token.header ? (
        <th key={place} scope="col" className={className}>
          {inline(token.tokens)}
        </th>
      ) : (
        <td key={place} className={className}>
          {inline(token.tokens)}
        </td>
      );
    });
  return (
    <Scroll className="table-frame" label="Table">
      <table>
        <thead>
          <tr>{cells(table.header)}</tr>
        </thead>
        <tbody>
          {placed(table.rows).map(({ token, place }) => (
            <tr key={place}>{cells(token)}</tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Code({ text }: { text: string }) {
  const { copied, copy } = useCopy();
  return (
    <div className="code-frame">
      <Scroll className="code" label="Code">
        <pre>
          <code>{text}</code>
        </pre>
      </Scroll>
      <button type="button" className="copy-code" onClick={() => void copy(text)}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
