import { describe, expect, it } from "vitest";
import { entries, withGrant, withoutGrant } from "./edit";

const FILE = `# Who sees what.
closed = ["finance.salaries"]

[groups]
analysts = ["kim@acme.kr"] # from HR

# Everyone sees the shop.
[[grants]]
to = ["domain:acme.kr"]
can = "view"
on = ["shop"]

# Analysts see all.
[[grants]]
to = ["group:analysts"]
can = "view"
on = ["*"]
`;

describe("changes of access.toml", () => {
  it("a grant that is added leaves every other line as it was", () => {
    const after = withGrant(FILE, ["person:lee@acme.kr"], "edit", ["finance", 'shop.a"b']);
    expect(after.startsWith(FILE.trimEnd())).toBe(true);
    expect(after).toContain('to = ["person:lee@acme.kr"]\ncan = "edit"\non = ["finance", "shop.a\\"b"]\n');
    expect(withGrant("", ["domain:acme.kr"], "view", ["shop"])).toBe(
      '[[grants]]\nto = ["domain:acme.kr"]\ncan = "view"\non = ["shop"]\n',
    );
  });

  it("a grant that is removed takes its own comment along and no other", () => {
    const first = withoutGrant(FILE, 8);
    expect(first).not.toContain("Everyone sees the shop");
    expect(first).not.toContain("domain:acme.kr");
    expect(first).toContain("# Analysts see all.\n[[grants]]");
    expect(first).toContain("# from HR");
    const last = withoutGrant(FILE, 14);
    expect(last).toContain("domain:acme.kr");
    expect(last).not.toContain("Analysts see all");
  });

  it("a line that begins no grant removes nothing", () => {
    expect(withoutGrant(FILE, 4)).toBe(FILE);
    expect(withoutGrant(FILE, 99)).toBe(FILE);
  });

  it("entries are separated by commas", () => {
    expect(entries(" domain:acme.kr, person:kim@acme.kr ,")).toEqual(["domain:acme.kr", "person:kim@acme.kr"]);
  });
});
