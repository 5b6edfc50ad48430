// Sharing a saved query: with people who run it themselves, and as rows that flow into spreadsheets.

import { useMutation, useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { queries } from "../../api/client";
import { useText } from "../../i18n";
import { Button, DialogButtons, Field, IconButton, Loading, Modal, Notice, ProblemBox, Select, Time } from "../../ui";
import { CodeBlock } from "../../ui/code";
import { uiText } from "../../ui/text";
import {
  type Can,
  changeSaved,
  endLink,
  endShareSheet,
  getSaved,
  listLinks,
  listShareSheets,
  makeLink,
  makeShareSheet,
  refreshShareSheet,
  type Saved,
} from "./api";
import { setBase } from "./saved-base";
import styles from "./sql.module.css";
import { sqlText } from "./text";

const keyOf = (saved: string, what: string) => ["sql", "share", saved, what] as const;

export default function ShareDialog({ saved, onClose }: { saved: string; onClose: () => void }) {
  const text = useText(sqlText);
  const words = useText(uiText);
  const query = useQuery({ queryKey: keyOf(saved, "query"), queryFn: () => getSaved(saved) });
  return (
    <Modal isOpen onOpenChange={onClose} title={text.shareTitle} keep wide>
      <div className={styles.share}>
        {query.isPending && <Loading label={text.shareTitle} />}
        {query.isError && <ProblemBox error={query.error} onRetry={() => query.refetch()} />}
        {query.data?.mine && <People query={query.data} />}
        {query.data && <Links saved={saved} name={query.data.name} />}
        {query.data && <Spreadsheets saved={saved} />}
      </div>
      <DialogButtons>
        <Button onPress={onClose}>{words.close}</Button>
      </DialogButtons>
    </Modal>
  );
}

/** Whoever is written with an @ is a person; groups and domains say what they are. */
const granteeOf = (typed: string) => (/^(person|group|domain|service):/.test(typed) ? typed : `person:${typed}`);

function People({ query }: { query: Saved }) {
  const text = useText(sqlText);
  const [who, setWho] = useState("");
  const [can, setCan] = useState<Can>("view");
  const change = useMutation({
    mutationFn: (shared: Saved["shared"]) => changeSaved(query.id, { shared, revision: query.revision }),
    onSuccess: (saved) => {
      setBase(saved.id, saved.revision);
      queries.setQueryData(keyOf(query.id, "query"), saved);
      setWho("");
    },
  });
  const add = (event: FormEvent) => {
    event.preventDefault();
    const to = granteeOf(who.trim().toLowerCase());
    if (who.trim() !== "") change.mutate([...query.shared.filter((each) => each.to !== to), { to, can }]);
  };
  const words = { view: text.shareView, edit: text.shareEdit, own: text.shareEdit };
  return (
    <section>
      <h3>{text.sharePeople}</h3>
      <p>{query.shared.length === 0 ? text.shareNobody : text.sharePeopleHint}</p>
      <ul>
        {query.shared.map((each) => (
          <li key={each.to}>
            <span>{each.to.replace(/^person:/, "")}</span>
            <small>{words[each.can]}</small>
            <IconButton
              small
              label={text.shareRemove(each.to)}
              icon={X}
              onPress={() => change.mutate(query.shared.filter(({ to }) => to !== each.to))}
            />
          </li>
        ))}
      </ul>
      <form className={styles.line} onSubmit={add}>
        <Field label={text.shareWho} help={text.shareWhoHelp} value={who} onChange={setWho} />
        <Select
          label={text.shareCan}
          value={can}
          onChange={setCan}
          items={[
            { id: "view", label: text.shareView },
            { id: "edit", label: text.shareEdit },
          ]}
        />
        <Button type="submit" isDisabled={change.isPending}>
          {text.shareAdd}
        </Button>
      </form>
      {change.isError && <ProblemBox small error={change.error} />}
    </section>
  );
}

const DAYS = ["30", "90", "365"] as const;

function Links({ saved, name }: { saved: string; name: string }) {
  const text = useText(sqlText);
  const [title, setTitle] = useState(name);
  const [days, setDays] = useState<(typeof DAYS)[number]>("90");
  const links = useQuery({ queryKey: keyOf(saved, "links"), queryFn: () => listLinks(saved) });
  const again = () => queries.invalidateQueries({ queryKey: keyOf(saved, "links") });
  const make = useMutation({
    mutationFn: () => makeLink(saved, { name: title, days: Number(days) }),
    onSuccess: again,
  });
  const end = useMutation({ mutationFn: endLink, onSuccess: again });
  return (
    <section>
      <h3>{text.links}</h3>
      <p>{text.linksHint}</p>
      {links.data?.length === 0 && <p>{text.noLinks}</p>}
      <ul>
        {links.data?.map((link) => (
          <li key={link.id}>
            <span>{link.name}</span>
            <small>{link.sharer}</small>
            <small>
              {link.revoked_at ? text.linkEnded : text.linkExpires} <Time at={link.revoked_at ?? link.expires_at} />
            </small>
            <small>{text.linkUses(link.uses)}</small>
            {link.problem_code && <small>{text.linkFailed(link.problem_code)}</small>}
            {!link.revoked_at && (
              <Button small kind="danger" onPress={() => end.mutate(link.id)}>
                {text.linkEnd}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {make.data ? (
        <MadeLink
          csv={new URL(make.data.csv, location.origin).href}
          xlsx={new URL(make.data.xlsx, location.origin).href}
        />
      ) : (
        <form
          className={styles.line}
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
        >
          <Field label={text.linkName} value={title} onChange={setTitle} />
          <Select
            label={text.linkDays}
            value={days}
            onChange={setDays}
            items={DAYS.map((each) => ({ id: each, label: text.linkDay(each) }))}
          />
          <Button type="submit" isDisabled={make.isPending}>
            {text.linkMake}
          </Button>
        </form>
      )}
      {(make.isError || end.isError || links.isError) && (
        <ProblemBox small error={make.error ?? end.error ?? links.error} />
      )}
    </section>
  );
}

function MadeLink({ csv, xlsx }: { csv: string; xlsx: string }) {
  const text = useText(sqlText);
  const forms: [string, string][] = [
    [text.linkSheets, `=IMPORTDATA("${csv}")`],
    [text.linkExcel, csv],
    [text.linkBook, xlsx],
  ];
  return (
    <>
      <Notice tone="info">{text.linkOnce}</Notice>
      {forms.map(([label, form]) => (
        <div key={label}>
          <small>{label}</small>
          <CodeBlock label={label} text={form} />
        </div>
      ))}
    </>
  );
}

function Spreadsheets({ saved }: { saved: string }) {
  const text = useText(sqlText);
  const [spreadsheet, setSpreadsheet] = useState("");
  const [tab, setTab] = useState("");
  const [schedule, setSchedule] = useState("");
  const sheets = useQuery({ queryKey: keyOf(saved, "sheets"), queryFn: () => listShareSheets(saved) });
  const again = () => queries.invalidateQueries({ queryKey: keyOf(saved, "sheets") });
  const make = useMutation({
    mutationFn: () =>
      makeShareSheet(saved, { spreadsheet, sheet: tab, ...(schedule.trim() ? { schedule: schedule.trim() } : {}) }),
    onSuccess: again,
  });
  const act = useMutation({ mutationFn: (deed: () => Promise<unknown>) => deed(), onSettled: again });
  if (!sheets.data) return sheets.isError ? <ProblemBox small error={sheets.error} /> : null;
  const { items, account } = sheets.data;
  return (
    <section>
      <h3>{text.sheetsPush}</h3>
      {account === null && <p>{text.sheetsNone}</p>}
      {account !== null && (
        <p>
          {text.sheetsAccount} <code>{account}</code>
        </p>
      )}
      <ul>
        {items.map((each) => (
          <li key={each.id}>
            <a href={`https://docs.google.com/spreadsheets/d/${each.spreadsheet}`} target="_blank" rel="noreferrer">
              {each.sheet}
            </a>
            {each.schedule && <small>{each.schedule}</small>}
            {each.refreshed_at && (
              <small>
                {text.sheetsRefreshed} <Time at={each.refreshed_at} ago />
              </small>
            )}
            {each.problem && <ProblemBox small problem={each.problem} />}
            <Button small isDisabled={act.isPending} onPress={() => act.mutate(() => refreshShareSheet(each.id))}>
              {text.sheetsRefresh}
            </Button>
            <Button small kind="danger" onPress={() => act.mutate(() => endShareSheet(each.id))}>
              {text.linkEnd}
            </Button>
          </li>
        ))}
      </ul>
      {account !== null && (
        <form
          className={styles.line}
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
        >
          <Field label={text.sheetsAddress} value={spreadsheet} onChange={setSpreadsheet} required />
          <Field label={text.sheetsTab} value={tab} onChange={setTab} required />
          <Field label={text.sheetsSchedule} value={schedule} onChange={setSchedule} mono placeholder="0 9 * * 1-5" />
          <Button type="submit" isDisabled={make.isPending}>
            {text.sheetsMake}
          </Button>
        </form>
      )}
      {(make.isError || act.isError) && <ProblemBox small error={make.error ?? act.error} />}
    </section>
  );
}
