// One dead letter: its bytes as they came, field by field against the columns, and mending it.

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import { Button, CodeBlock, Field, Loading, Notice, ProblemBox, Status, Table, Time, Toolbar } from "../../ui";
import { Unfold } from "../../ui/unfold";
import { type Field as Compared, difference, hexLines, pretty } from "./difference";
import type { Chosen } from "./replay";
import { topicsText } from "./text";
import styles from "./topics.module.css";
import type { Group, LetterView, TopicView } from "./types";

const WAIT_FOR_TYPING_MS = 300;

interface LetterProps {
  topic: TopicView;
  group: Group;
  onReplay: (chosen: Chosen) => void;
}

export function Letter({ topic, group, onReplay }: LetterProps) {
  const text = useText(topicsText);
  const [after, setAfter] = useState<number | undefined>();
  const { sink, reason, path, expected, got, schema_revision } = group;
  const letters = useQuery({
    queryKey: ["topics", "letters", topic.topic, sink, reason, path, expected, got, schema_revision, after],
    queryFn: () =>
      call(
        api.GET("/api/v1/topics/{topic}/dead/letters", {
          params: {
            path: { topic: topic.topic },
            query: {
              sink,
              reason,
              path,
              expected,
              got,
              schema_revision,
              most: 1,
              ...(after === undefined ? {} : { after }),
            },
          },
        }),
      ),
  });
  if (letters.isPending) return <Loading label={text.loading} />;
  if (!letters.data) return <ProblemBox error={letters.error} onRetry={letters.refetch} />;
  const letter = letters.data.items[0];
  if (!letter) return <p className={styles.muted}>{text.deadNone}</p>;
  return (
    <>
      <Toolbar>
        <span className={styles.muted}>
          {text.offset} {letter.id} · <Time at={letter.first_seen} />
          {letter.ordering_key && ` · ${text.key}: ${letter.ordering_key}`}
          {letter.attempts > 0 && ` · ${text.attempts(letter.attempts)}`}
        </span>
        {group.letters > 1 && letters.data.next !== null && letters.data.next !== undefined && (
          <Button small onPress={() => setAfter(letter.id)}>
            {text.nextLetter}
          </Button>
        )}
      </Toolbar>
      <Body key={letter.id} topic={topic} letter={letter} group={group} onReplay={onReplay} />
    </>
  );
}

function Body({ topic, letter, group, onReplay }: LetterProps & { letter: LetterView }) {
  const text = useText(topicsText);
  const fields =
    letter.text === null || letter.text === undefined ? undefined : difference(letter.text, topic.columns, letter.path);
  return (
    <div className={styles.letter}>
      {fields ? <Fields fields={fields} /> : <Notice tone="info">{text.noJson}</Notice>}
      <div>
        <h3>{text.raw}</h3>
        {letter.text !== null && letter.text !== undefined && <CodeBlock text={letter.text} label={text.raw} />}
        <Unfold open={letter.text === null || letter.text === undefined} summary={text.rawBytes}>
          <CodeBlock text={hexLines(letter.base64).join("\n")} label={text.rawBytes} />
        </Unfold>
        {letter.attributes !== "{}" && (
          <p className={styles.muted}>
            {text.attributes}: {letter.attributes}
          </p>
        )}
      </div>
      {topic.may_run && letter.text !== null && letter.text !== undefined && (
        <Mend topic={topic} letter={letter} group={group} onReplay={onReplay} />
      )}
    </div>
  );
}

function Fields({ fields }: { fields: Compared[] }) {
  const text = useText(topicsText);
  return (
    <div>
      <h3>{text.fields}</h3>
      <Table
        label={text.fields}
        scrolls
        columns={[
          {
            id: "name",
            header: text.field,
            cell: (field: Compared) =>
              field.faulty ? <Status tone="bad">{field.name}</Status> : <code>{field.name}</code>,
          },
          { id: "got", header: text.inEvent, cell: (field: Compared) => field.got ?? <em>{text.missing}</em> },
          {
            id: "wants",
            header: text.inTable,
            cell: (field: Compared) => (
              <>
                {field.wants ?? <em>{text.noColumn}</em>}
                {field.required && ` · ${text.required}`}
              </>
            ),
          },
        ]}
        rows={fields}
        id={(field) => field.name}
      />
    </div>
  );
}

/** Edits the event and says at once whether it would fit. */
function Mend({ topic, letter, group, onReplay }: LetterProps & { letter: LetterView }) {
  const text = useText(topicsText);
  const [event, setEvent] = useState(() => pretty(letter.text ?? ""));
  const [settled, settle] = useState(event);
  useEffect(() => {
    const wait = setTimeout(() => settle(event), WAIT_FOR_TYPING_MS);
    return () => clearTimeout(wait);
  }, [event]);
  const table = group.sink === "table";
  const judged = useQuery({
    queryKey: ["topics", "judge", topic.topic, settled],
    enabled: table,
    queryFn: () =>
      call(
        api.POST("/api/v1/topics/{topic}/dead/check", {
          params: { path: { topic: topic.topic } },
          body: { text: settled },
        }),
      ),
  });
  const fits = !table || judged.data?.fits;
  return (
    <div className={styles.mend}>
      <h3>{text.edit}</h3>
      <Field label={text.event} help={text.editHint} value={event} onChange={setEvent} lines={8} mono />
      {table && judged.data && (
        <Notice tone={judged.data.fits ? "good" : "warn"}>
          {judged.data.fits ? (
            text.fits
          ) : (
            <>
              {text.fitsNot} <code>{judged.data.path}</code>{" "}
              {text.expectedGot(judged.data.expected ?? "–", judged.data.got ?? "–")}
            </>
          )}
        </Notice>
      )}
      {judged.isError && <ProblemBox error={judged.error} small />}
      <Button
        isDisabled={!fits || event !== settled}
        onPress={() => onReplay({ id: letter.id, kind: group, text: event, letters: 1 })}
      >
        {text.replayOne}
      </Button>
    </div>
  );
}
