/** A region that scrolls and can be reached with the keyboard (WCAG 2.1.1; not every browser makes it so by itself). */

import { type ReactNode, useLayoutEffect, useRef } from 'react';

export function Scroll({
  label,
  className,
  children,
}: {
  label: string;
  className: string;
  children: ReactNode;
}) {
  const region = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    if (region.current !== null) region.current.tabIndex = 0;
  }, []);
  return (
    <section ref={region} className={className} aria-label={label}>
      {children}
    </section>
  );
}
