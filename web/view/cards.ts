/** The part of the page that decides approvals: a chunk of its own, fetched right after the page has begun. */

export { ApprovalCard } from './ApprovalCard.tsx';
export { BatchSheet } from './BatchSheet.tsx';
