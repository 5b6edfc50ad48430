// The filters above the rows. Typed ones count when Enter is pressed or the field is left.

import { type FormEvent, useState } from "react";
import { useText } from "../../i18n";
import { Button, Field, Select } from "../../ui";
import styles from "./audit.module.css";
import { FILTERS, type FilterName, type Filters } from "./filters";
import { auditText } from "./text";

const TYPED = ["account", "table", "text", "from", "to"] as const;

interface BarProps {
  filters: Filters;
  set: (name: FilterName, value: string) => void;
  clear: () => void;
}

export function Bar({ filters, set, clear }: BarProps) {
  const text = useText(auditText);
  const [draft, setDraft] = useState(filters);
  const take = () => {
    for (const name of TYPED) if (draft[name] !== filters[name]) set(name, draft[name]);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    take();
  };
  const choices = (words: Record<string, string>) => [
    { id: "", label: text.any },
    ...Object.entries(words).map(([id, label]) => ({ id, label })),
  ];
  const results = { ok: text.ok, failed: text.failed };
  return (
    <form className={styles.bar} aria-label={text.filters} onSubmit={submit} onBlur={take}>
      {(["account", "table", "text"] as const).map((name) => (
        <Field
          key={name}
          label={text[name]}
          value={draft[name]}
          onChange={(value) => setDraft({ ...draft, [name]: value })}
        />
      ))}
      <Select
        label={text.action}
        value={filters.action}
        onChange={(value) => set("action", value)}
        items={choices(text.actions)}
      />
      <Select
        label={text.door}
        value={filters.door}
        onChange={(value) => set("door", value)}
        items={choices(text.doors)}
      />
      <Select
        label={text.result}
        value={filters.result}
        onChange={(value) => set("result", value)}
        items={choices(results)}
      />
      {(["from", "to"] as const).map((name) => (
        <Field
          key={name}
          label={text[name]}
          placeholder="2026-11-23"
          value={draft[name]}
          onChange={(value) => setDraft({ ...draft, [name]: value })}
        />
      ))}
      <Button
        type="button"
        kind="quiet"
        isDisabled={FILTERS.every((name) => filters[name] === "" && draft[name] === "")}
        onPress={() => {
          setDraft({ account: "", table: "", text: "", action: "", door: "", result: "", from: "", to: "" });
          clear();
        }}
      >
        {text.clear}
      </Button>
      <button type="submit" hidden />
    </form>
  );
}
