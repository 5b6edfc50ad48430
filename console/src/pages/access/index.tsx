// Access: what I see, what is granted to whom, why, and changing it with gains and losses shown before.

import { useQuery } from "@tanstack/react-query";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import { AsOf, Loading, Notice, Page, ProblemBox, Tabs } from "../../ui";
import { Change } from "./change";
import { Grants } from "./grants";
import { Mine } from "./mine";
import { People } from "./people";
import { accessText } from "./text";
import { Why } from "./why";

export default function Access() {
  const text = useText(accessText);
  const access = useQuery({ queryKey: ["access"], queryFn: () => call(api.GET("/api/v1/access")) });
  if (access.isPending) return <Loading label={text.loading} />;
  if (!access.data) return <ProblemBox error={access.error} onRetry={access.refetch} />;
  const view = access.data;
  const tabs = [
    { id: "mine", label: text.mine, content: () => <Mine view={view} /> },
    { id: "why", label: text.why, content: () => <Why admin={view.admin} /> },
  ];
  if (view.admin) {
    tabs.unshift({ id: "grants", label: text.grants, content: () => <Grants view={view} /> });
    tabs.push({ id: "people", label: text.people, content: () => <People view={view} /> });
    tabs.push({ id: "edit", label: text.edit, content: () => <Change file={view.file ?? undefined} /> });
  }
  return (
    <Page title={text.title} under={<AsOf at={view.as_of} />}>
      {view.open && <Notice tone="info">{text.open}</Notice>}
      {view.wrong.length > 0 && <Notice tone="warn">{text.wrongTitle}</Notice>}
      {view.wrong.map((problem) => (
        <ProblemBox key={`${problem.place?.line}:${problem.summary}`} problem={{ ...problem, retry: "never" }} small />
      ))}
      <Tabs label={text.tabs} items={tabs} />
    </Page>
  );
}
