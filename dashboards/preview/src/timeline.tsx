// A replacement for Grafana's state timeline, which is in no package: a row per series, with a box for
// the duration of each state, with colour and text of the panel's value mappings.
import React from 'react';
import { dateTimeFormat, FieldType, getDisplayProcessor, getFieldDisplayName, PanelProps } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

type Box = { from: number; to: number; text: string; color: string };

const AXIS = 20;
const LABEL_SHARE = 0.3;  // at most
const LETTER = 7;

export function StateTimeline(props: PanelProps<any>) {
  const theme = useTheme2();
  const from = props.timeRange.from.valueOf();
  const to = props.timeRange.to.valueOf();
  const rows = props.data.series.flatMap((frame) => {
    const times = frame.fields.find((field) => field.type === FieldType.time);
    return frame.fields
      .filter((field) => field.type === FieldType.number)
      .map((field) => {
        const show = field.display ?? getDisplayProcessor({ field, theme });
        const boxes: Box[] = [];
        const step = times!.config.interval ?? 0;
        field.values.forEach((value, place) => {
          if (value === null || value === undefined) return;
          const at = Math.max(times!.values[place], from);
          const end = Math.min(times!.values[place] + step, to);
          const { text, color } = show(value);
          const last = boxes[boxes.length - 1];
          if (last && last.text === text && last.to >= at) last.to = end;
          else boxes.push({ from: at, to: end, text, color: color ?? theme.colors.text.disabled });
        });
        return { name: getFieldDisplayName(field, frame, props.data.series), boxes };
      });
  });
  const shown = rows.slice(0, props.options.perPage ?? 20);
  if (!shown.some((row) => row.boxes.length)) {
    return <Nothing {...props} />;
  }
  const longest = Math.max(...shown.map((row) => row.name.length));
  const left = Math.min(longest * LETTER + 16, Math.round(props.width * LABEL_SHARE));
  const scale = (at: number) => left + ((at - from) / (to - from)) * (props.width - left - 8);
  const height = (props.height - AXIS) / shown.length;
  const gap = (height * (1 - (props.options.rowHeight ?? 0.9))) / 2;
  const ticks = [0, 1, 2, 3].map((tick) => from + ((to - from) * tick) / 4);
  return (
    <svg width={props.width} height={props.height} fontFamily={theme.typography.fontFamily} fontSize={12}>
      {shown.map((row, place) => (
        <g key={row.name} transform={`translate(0, ${place * height})`}>
          <text x={left - 8} y={height / 2} textAnchor="end" dominantBaseline="central" fill={theme.colors.text.secondary}>
            {row.name}
          </text>
          {row.boxes.map((box) => {
            const width = scale(box.to) - scale(box.from);
            return (
              <g key={box.from}>
                <rect x={scale(box.from)} y={gap} width={Math.max(width, 1)} height={height - 2 * gap} fill={box.color} />
                {width > box.text.length * LETTER + 8 && (
                  <text x={scale(box.from) + 4} y={height / 2} dominantBaseline="central" fill={theme.colors.getContrastText(box.color)}>
                    {box.text}
                  </text>
                )}
              </g>
            );
          })}
        </g>
      ))}
      {ticks.map((tick) => (
        <text key={tick} x={scale(tick)} y={props.height - 4} fill={theme.colors.text.secondary}>
          {dateTimeFormat(tick, { format: 'HH:mm:ss', timeZone: 'utc' })}
        </text>
      ))}
    </svg>
  );
}

export function Nothing(props: PanelProps<any>) {
  const style = {
    display: 'flex', height: props.height, width: props.width, alignItems: 'center', justifyContent: 'center',
    fontSize: 14, opacity: 0.7, textAlign: 'center' as const, overflow: 'hidden',
  };
  return <div style={style}>{props.fieldConfig.defaults.noValue ?? 'No data'}</div>;
}
