import { ago, day, moment } from './moment.ts';

interface WhenProps {
  /** ISO 8601. */
  of: string;
  as: keyof typeof inWords;
}

const inWords = {
  moment,
  day,
  ago: (date: Date) => ago(date, new Date()),
};

export function When({ of, as }: WhenProps) {
  const date = new Date(of);
  return (
    <time dateTime={of} title={moment(date)}>
      {inWords[as](date)}
    </time>
  );
}
