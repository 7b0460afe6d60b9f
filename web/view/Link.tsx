/** A link inside the page (never in a widget: its host's address is not ours to change or to offer): a click changes the place, a middle click opens a tab as links do. */

import type { MouseEvent, ReactNode } from 'react';
import { useModel } from './model.tsx';

export function Link({
  href,
  className,
  current = false,
  onGo,
  children,
}: {
  href: string;
  className?: string;
  current?: boolean;
  onGo?(): void;
  children: ReactNode;
}) {
  const { router } = useModel();
  function go(event: MouseEvent): void {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    router.go(href);
    onGo?.();
  }
  return (
    <a href={href} className={className} aria-current={current ? 'page' : undefined} onClick={go}>
      {children}
    </a>
  );
}
