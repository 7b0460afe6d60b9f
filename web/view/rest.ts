/** The parts of the page that not everybody needs: a chunk of its own. */

export { CsvImport } from './CsvImport.tsx';
export { InboxPage } from './Inbox.tsx';
export { RenameDialog } from './RenameDialog.tsx';
export { SignIn } from './SignIn.tsx';
export { ToolDetails } from './ToolDetails.tsx';
