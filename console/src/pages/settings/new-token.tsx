// Making a token: name, life, what for; then its text, this once, with lines ready to paste.

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import { Button, Checkbox, CodeBlock, DialogButtons, Field, Modal, Notice, ProblemBox, Select } from "../../ui";
import styles from "./settings.module.css";
import { curl, postgresUrl, psql, python } from "./snippets";
import { settingsText } from "./text";

const DAYS = ["7", "30", "90"] as const;

interface Wanted {
  name: string;
  days: number;
  scopes: string[];
}

function make(body: Wanted) {
  return call(api.POST("/api/v1/tokens", { body }));
}

type Made = Awaited<ReturnType<typeof make>>;

export function NewToken({ onClose, onMade }: { onClose: () => void; onMade: () => void }) {
  const text = useText(settingsText);
  const made = useMutation({ mutationFn: make, onSuccess: onMade });
  return (
    <Modal
      isOpen
      keep
      wide
      onOpenChange={(open) => !open && onClose()}
      title={made.data ? text.madeTitle : text.newToken}
    >
      {made.data ? (
        <Shown made={made.data} onClose={onClose} />
      ) : (
        <Form error={made.error} busy={made.isPending} onMake={made.mutate} onClose={onClose} />
      )}
    </Modal>
  );
}

function topicsOf(text: string): string[] {
  return text
    .split(",")
    .map((topic) => topic.trim())
    .filter(Boolean);
}

interface FormProps {
  error: unknown;
  busy: boolean;
  onMake: (wanted: Wanted) => void;
  onClose: () => void;
}

function Form({ error, busy, onMake, onClose }: FormProps) {
  const text = useText(settingsText);
  const [name, setName] = useState("");
  const [days, setDays] = useState<(typeof DAYS)[number]>("90");
  const [query, setQuery] = useState(true);
  const [all, setAll] = useState(false);
  const [send, setSend] = useState<string | undefined>();
  const [receive, setReceive] = useState<string | undefined>();
  const scopes = [
    ...(query ? ["query"] : []),
    ...(all ? ["api"] : []),
    ...topicsOf(send ?? "").map((topic) => `send:${topic}`),
    ...topicsOf(receive ?? "").map((topic) => `receive:${topic}`),
  ];
  const ready = name.trim() !== "" && scopes.length > 0;
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) onMake({ name: name.trim(), days: Number(days), scopes });
      }}
    >
      <Field label={text.tokenName} help={text.tokenNameHelp} value={name} onChange={setName} autoFocus required />
      <Select
        label={text.days}
        value={days}
        onChange={setDays}
        items={DAYS.map((id) => ({ id, label: text.dayCount(Number(id)) }))}
      />
      <fieldset className={styles.scopes}>
        <legend>{text.scopes}</legend>
        <Checkbox checked={query} onChange={setQuery}>
          {text.query}
        </Checkbox>
        <Checkbox checked={all} onChange={setAll}>
          {text.api}
        </Checkbox>
        <Checkbox checked={send !== undefined} onChange={(on) => setSend(on ? "" : undefined)}>
          {text.send}
        </Checkbox>
        {send !== undefined && (
          <Field label={`${text.send}: ${text.topics}`} help={text.topicsHelp} value={send} onChange={setSend} />
        )}
        <Checkbox checked={receive !== undefined} onChange={(on) => setReceive(on ? "" : undefined)}>
          {text.receive}
        </Checkbox>
        {receive !== undefined && (
          <Field
            label={`${text.receive}: ${text.topics}`}
            help={text.topicsHelp}
            value={receive}
            onChange={setReceive}
          />
        )}
      </fieldset>
      {error !== null && <ProblemBox error={error} small />}
      <DialogButtons>
        <Button onPress={onClose}>{text.cancel}</Button>
        <Button kind="primary" type="submit" isDisabled={!ready || busy}>
          {text.make}
        </Button>
      </DialogButtons>
    </form>
  );
}

function Shown({ made, onClose }: { made: Made; onClose: () => void }) {
  const text = useText(settingsText);
  const url = made.wire ? postgresUrl(made.user, made.token, made.wire) : undefined;
  return (
    <div className={styles.shown}>
      <Notice tone="warn">{text.madeOnce}</Notice>
      <Block name={text.token} value={made.token} />
      {url ? (
        <>
          <Block name={text.psql} value={psql(url)} />
          <Block name={text.url} value={url} />
          <Block name={text.python} value={python(url)} />
        </>
      ) : (
        <p className={styles.hint}>{text.wireOff}</p>
      )}
      <Block name={text.curl} value={curl(location.origin, made.token)} />
      <DialogButtons>
        <Button kind="primary" onPress={onClose}>
          {text.close}
        </Button>
      </DialogButtons>
    </div>
  );
}

function Block({ name, value }: { name: string; value: string }) {
  return (
    <section>
      <h3>{name}</h3>
      <CodeBlock text={value} label={name} />
    </section>
  );
}
