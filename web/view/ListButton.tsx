/** Opens the list of conversations where it has no column of its own. */

import { PageIcon } from './PageIcon.tsx';

export function ListButton({ open }: { open(): void }) {
  return (
    <button type="button" className="icon-button list-button" aria-label="Conversations" onClick={open}>
      <PageIcon name="menu" />
    </button>
  );
}
