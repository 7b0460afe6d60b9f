/** A link inside the page: a click changes the place, a middle click opens a tab as links do. */

import type { MouseEvent, ReactNode } from 'react';
import { useModel, useSurroundings } from './model.tsx';

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
  const { kind } = useSurroundings();
  function go(event: MouseEvent): void {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    router.go(href);
    onGo?.();
  }
  // In a widget the address of the host page is not ours to change or to offer.
  const address = kind === 'page' ? href : '#';
  return (
    <a href={address} className={className} aria-current={current ? 'page' : undefined} onClick={go}>
      {children}
    </a>
  );
}
