/** What can be done with a conversation: another title, archive, restore. */

import { useState } from 'react';
import { Icon } from './Icon.tsx';
import { Menu } from './Menu.tsx';
import { useModel } from './model.tsx';
import { PageIcon } from './PageIcon.tsx';
import { RenameDialog } from './RenameDialog.tsx';

export interface ThreadMenuProps {
  threadId: string;
  title: string;
  archived: boolean;
  label: string;
}

export function ThreadMenu({ threadId, title, archived, label }: ThreadMenuProps) {
  const { conversations } = useModel();
  const [renaming, setRenaming] = useState(false);
  return (
    <>
      <Menu
        label={label}
        items={[
          { label: 'Rename', icon: <Icon name="pencil" />, act: () => setRenaming(true) },
          archived
            ? {
                label: 'Restore',
                icon: <Icon name="restore" />,
                act: () => void conversations.restore(threadId),
              }
            : {
                label: 'Archive',
                icon: <PageIcon name="archive" />,
                act: () => void conversations.archive(threadId),
              },
        ]}
      />
      {renaming ? <RenameDialog threadId={threadId} title={title} close={() => setRenaming(false)} /> : null}
    </>
  );
}
