/** Charts as plain SVG: real text, colours from the style sheet, a label for who cannot see them. */

/** How many came through each stage, as bars below each other. */
export function Funnel({
  stages,
  label,
}: {
  stages: readonly { label: string; value: number }[];
  label: string;
}) {
  const most = Math.max(1, ...stages.map((stage) => stage.value));
  const words = stages.map((stage) => `${stage.label} ${stage.value.toLocaleString()}`).join(', ');
  return (
    <svg
      className="chart"
      viewBox={`0 0 480 ${stages.length * 30}`}
      role="img"
      aria-label={`${label}: ${words}`}
    >
      {stages.map((stage, index) => {
        const width = Math.max(3, (stage.value / most) * 250);
        const before = stages[index - 1];
        const share =
          before !== undefined && before.value > 0 ? Math.round((stage.value / before.value) * 100) : null;
        return (
          <g key={stage.label} transform={`translate(0 ${index * 30})`}>
            <text className="chart-label" x="0" y="19">
              {stage.label}
            </text>
            <rect
              className="chart-bar"
              x="90"
              y="5"
              width={width}
              height="20"
              rx="4"
              opacity={1 - index * 0.13}
            />
            <text className="chart-value" x={98 + width} y="19">
              {stage.value.toLocaleString()}
              {share === null ? null : (
                <tspan className="chart-note" dx="6">
                  {share}% of {before?.label.toLowerCase()}
                </tspan>
              )}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

/** One bar made of shares: what was taken and what was not. */
export function ShareBar({
  shares,
  label,
}: {
  shares: readonly { name: string; value: number; tone: 'good' | 'bad' | 'quiet' }[];
  label: string;
}) {
  const all = Math.max(
    1,
    shares.reduce((sum, share) => sum + share.value, 0),
  );
  const words = shares.map((share) => `${share.name} ${share.value.toLocaleString()}`).join(', ');
  let at = 0;
  return (
    <svg
      className="chart share"
      viewBox="0 0 400 10"
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${words}`}
    >
      {shares.map((share) => {
        const width = (share.value / all) * 400;
        const x = at;
        at += width;
        return <rect key={share.name} className={`share-${share.tone}`} x={x} width={width} height="10" />;
      })}
    </svg>
  );
}
