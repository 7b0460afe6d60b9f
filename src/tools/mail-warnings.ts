/** What a person should think about before a mail leaves, worst first. */

import { isRoleAddress } from '../resources/role-address.ts';
import type { Warning } from '../runtime/events.ts';

export interface MailToJudge {
  address: string;
  subject: string;
  /** As it was written. */
  body: string;
  /** As it would leave. */
  text: string;
  postalAddress: string | null;
  /** The address that stands in for a mailbox that the profile does not name, if one does. */
  fromFallsBack: string | null;
  /** Mails to the same address in the last 24 hours. */
  recentMails: number;
}

const PLACEHOLDER =
  /\{\{[^{}]*\}\}|\{\{|\}\}|\[(?:your|first|last|full|insert|company|name)\b[^\]]{0,100}\]/i;
/** Characters that are not seen, or that turn the direction of what is read. */
const HIDDEN = /[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u;
const SEVERITIES = ['high', 'medium', 'low'] as const;

/** The warnings for one mail, worst first. */
export function mailWarnings(mail: MailToJudge): Warning[] {
  const found: (Warning | false)[] = [
    PLACEHOLDER.test(`${mail.subject}\n${mail.body}`) && {
      code: 'UNFILLED_PLACEHOLDER',
      message: 'The text still holds a placeholder that would be sent as it stands.',
      severity: 'high',
    },
    HIDDEN.test(`${mail.subject}\n${mail.text}`) && {
      code: 'HIDDEN_CHARACTERS',
      message: 'The text holds characters that cannot be seen; it may read differently from what is shown.',
      severity: 'high',
    },
    mail.fromFallsBack !== null && {
      code: 'SENDER_MAILBOX_MISSING',
      message: `The sender profile names no from_email, so the mail leaves as ${mail.fromFallsBack}.`,
      severity: 'high',
    },
    mail.recentMails > 0 && {
      code: 'MAILED_RECENTLY',
      message: `${mail.address} got ${mail.recentMails === 1 ? 'a mail' : `${mail.recentMails} mails`} from this workspace in the last 24 hours.`,
      severity: 'medium',
    },
    mail.body.replaceAll(/\s/g, '').length < 20 && {
      code: 'BODY_SHORT',
      message: 'The mail says almost nothing.',
      severity: 'medium',
    },
    mail.postalAddress === null && {
      code: 'NO_POSTAL_ADDRESS',
      message: 'The sender profile has no postal address; many countries require one in commercial mail.',
      severity: 'medium',
    },
    isRoleAddress(mail.address) && {
      code: 'ROLE_ACCOUNT',
      message: `${mail.address} is a shared mailbox and not one person.`,
      severity: 'low',
    },
    !/unsubscribe|opt[ -]?out|abmelden|d[eé]sinscri|darse de baja/i.test(mail.text) && {
      code: 'NO_UNSUBSCRIBE',
      message: 'The mail does not say how to receive no more of them.',
      severity: 'low',
    },
  ];
  return found
    .filter((warning) => warning !== false)
    .sort((one, other) => SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity));
}
