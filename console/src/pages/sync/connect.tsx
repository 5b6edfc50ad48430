// Connecting a database: a form, what the database lacks with the exact statements, and the file that makes naru follow it.

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import { Button, Checkbox, CodeBlock, DialogButtons, Field, Loading, Modal, Notice, ProblemBox } from "../../ui";
import styles from "./sync.module.css";
import { syncText } from "./text";
import type { CheckedDraft, Draft } from "./types";

interface Form {
  name: string;
  host: string;
  port: string;
  database: string;
  user: string;
  password: string;
  reference: string;
  include: string;
  unbounded: boolean;
}

const EMPTY: Form = {
  name: "",
  host: "",
  port: "5432",
  database: "",
  user: "naru",
  password: "",
  reference: "",
  include: "",
  unbounded: false,
};

/** The variable that a source's password has unless somebody names another. */
export function referenceOf(name: string): string {
  const word = name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "");
  const start = /^[A-Z]/.test(word) ? word : `DB_${word}`.replace(/_$/, "");
  return `\${${start}_PASSWORD}`;
}

function draftOf(form: Form): Draft {
  const include = form.include
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter(Boolean);
  return {
    name: form.name.trim(),
    host: form.host.trim(),
    port: Number(form.port) || 5432,
    database: form.database.trim(),
    user: form.user.trim(),
    password_reference: form.reference.trim() || referenceOf(form.name.trim()),
    password: form.password || null,
    include,
    wal_unbounded: form.unbounded,
  };
}

export function Connect({ onClose }: { onClose: () => void }) {
  const text = useText(syncText);
  const [form, setForm] = useState<Form>(EMPTY);
  const set = (more: Partial<Form>) => setForm((before) => ({ ...before, ...more }));
  const look = useMutation({ mutationFn: () => call(api.POST("/api/v1/sources/check", { body: draftOf(form) })) });
  const write = useMutation({
    mutationFn: () => call(api.POST("/api/v1/sources", { body: { ...draftOf(form), password: null } })),
  });
  const ready = form.name && form.host && form.database && form.user;
  return (
    <Modal isOpen onOpenChange={(open) => !open && onClose()} title={text.connectTitle} keep wide>
      <p className={styles.muted}>{text.connectHint}</p>
      <div className={styles.form}>
        <Field
          label={text.name}
          help={text.nameHelp}
          value={form.name}
          onChange={(name) => set({ name })}
          required
          autoFocus
        />
        <Field label={text.database} value={form.database} onChange={(database) => set({ database })} required />
        <Field label={text.host} value={form.host} onChange={(host) => set({ host })} required />
        <Field label={text.port} value={form.port} onChange={(port) => set({ port })} type="number" />
        <Field label={text.user} value={form.user} onChange={(user) => set({ user })} required />
        <Field
          label={text.password}
          help={text.passwordHelp}
          value={form.password}
          onChange={(password) => set({ password })}
          type="password"
        />
        <Field
          label={text.reference}
          help={text.referenceHelp}
          value={form.reference}
          placeholder={referenceOf(form.name || "shop")}
          onChange={(reference) => set({ reference })}
          mono
        />
        <Field
          label={text.include}
          help={text.includeHelp}
          value={form.include}
          onChange={(include) => set({ include })}
          lines={2}
          mono
        />
      </div>
      <Checkbox checked={form.unbounded} onChange={(unbounded) => set({ unbounded })}>
        {text.unbounded}
      </Checkbox>
      {look.isPending && <Loading label={text.looking} />}
      {look.isError && <ProblemBox error={look.error} />}
      {look.data && <Found found={look.data} />}
      {write.isError && <ProblemBox error={write.error} />}
      {write.data && (
        <Notice tone="good">
          <strong>{text.written2(write.data.file)}</strong>
          <br />
          {text.next}
          <CodeBlock
            label={text.setVariable}
            text={`export ${draftOf(form).password_reference.replace(/^\$\{|\}$/g, "")}='…'\nnaru up`}
          />
        </Notice>
      )}
      <DialogButtons>
        <Button onPress={onClose}>{text.close}</Button>
        <Button
          isDisabled={!ready || look.isPending}
          kind={look.data ? "plain" : "primary"}
          onPress={() => look.mutate()}
        >
          {text.look}
        </Button>
        {look.data && !write.data && (
          <Button kind="primary" isDisabled={write.isPending} onPress={() => write.mutate()}>
            {text.write}
          </Button>
        )}
      </DialogButtons>
    </Modal>
  );
}

function Found({ found }: { found: CheckedDraft }) {
  const text = useText(syncText);
  return (
    <div className={styles.found}>
      {found.problems.length === 0 ? (
        <Notice tone="good">{text.foundNothing}</Notice>
      ) : (
        <>
          <h3>{text.found}</h3>
          {found.problems.map((problem) => (
            <ProblemBox key={problem.code + problem.summary} problem={problem} />
          ))}
          <h3>{text.roleSql}</h3>
          <p className={styles.muted}>{text.roleSqlHint}</p>
          <CodeBlock text={found.role_sql} label={text.roleSql} />
        </>
      )}
      {found.notes.map((problem) => (
        <ProblemBox key={problem.code + problem.summary} problem={problem} small />
      ))}
      <h3>
        {text.file} {found.file}
      </h3>
      <p className={styles.muted}>{text.fileHint}</p>
      <CodeBlock text={found.text} label={found.file} />
    </div>
  );
}
