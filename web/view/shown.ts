/** The event by which a card says that it stands in the page; its detail is the approval's id. */

export const CARD_SHOWN = 'overture-card-shown';
