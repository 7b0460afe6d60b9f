/** A text of the agent, rendered block by block. */

import { memo, useLayoutEffect, useMemo, useRef } from 'react';
import { blocksOf, renderBlock } from '../logic/markdown.ts';

const Block = memo(function Block({ text }: { text: string }) {
  const holder = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    holder.current?.replaceChildren(renderBlock(text));
  }, [text]);
  return <div ref={holder} className="block" />;
});

export const Markdown = memo(function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const blocks = useMemo(() => blocksOf(text).map((block, place) => ({ block, place })), [text]);
  return (
    <div className={growing ? 'markdown growing' : 'markdown'}>
      {blocks.map(({ block, place }) => (
        <Block key={place} text={block} />
      ))}
    </div>
  );
});
