/** What an empty conversation offers. */

import { useRef } from 'react';
import { Icon, type IconName, Mark } from './Icon.tsx';
import { useModel, useStore } from './model.tsx';

interface Suggestion {
  icon: IconName;
  title: string;
  text: string;
}

const BALANCE: Suggestion = { icon: 'coin', title: 'Check the balance', text: 'How many credits do I have?' };
const SUGGESTIONS: readonly Suggestion[] = [
  { icon: 'people', title: 'See my leads', text: 'Show my leads' },
  { icon: 'mail', title: 'Write to somebody', text: 'Write to ' },
  { icon: 'spark', title: 'See what it can do', text: 'What can you do?' },
];

/** Where a campaign is ready to be launched, that comes first. */
function suggestionsFor(draftCampaign: string | null): Suggestion[] {
  if (draftCampaign === null) return [...SUGGESTIONS, BALANCE];
  const name = /campaign$/i.test(draftCampaign) ? draftCampaign : `campaign ${draftCampaign}`;
  return [{ icon: 'chart', title: 'Launch a campaign', text: `Launch the ${name}` }, ...SUGGESTIONS];
}

export function Welcome({ onPick, onFile }: { onPick(text: string): void; onFile(file: File): void }) {
  const model = useModel();
  const draftCampaign = useStore(model.store, (state) => state.draftCampaign);
  const picker = useRef<HTMLInputElement>(null);
  return (
    <div className="messages welcome-frame">
      <div className="welcome">
        <Mark />
        <h2>Who shall we write to?</h2>
        <p>
          Overture finds leads, writes to each of them personally and runs campaigns. Before anything is sent
          or paid for, it asks you.
        </p>
        <ul className="suggestions">
          <li>
            <button type="button" className="suggestion" onClick={() => picker.current?.click()}>
              <Icon name="file" />
              <span>
                <strong>Bring a CSV of leads</strong>
                <span>Drop it here, or choose it</span>
              </span>
            </button>
            <input
              ref={picker}
              type="file"
              accept=".csv,.tsv,.txt,text/csv"
              hidden
              tabIndex={-1}
              aria-hidden="true"
              onChange={(event) => {
                const [first] = event.target.files ?? [];
                if (first !== undefined) onFile(first);
                event.target.value = '';
              }}
            />
          </li>
          {suggestionsFor(draftCampaign).map(({ icon, title, text }) => (
            <li key={title}>
              <button type="button" className="suggestion" onClick={() => onPick(text)}>
                <Icon name={icon} />
                <span>
                  <strong>{title}</strong>
                  <span>{`“${text.trim()}${text.endsWith(' ') ? ' …' : ''}”`}</span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
