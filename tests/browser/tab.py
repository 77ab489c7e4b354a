"""A page of a browser, and what goes wrong in it."""

from playwright.sync_api import BrowserContext, Page, Request

from infra.local.state import TOP

AXE = TOP / "infra" / "local" / "node_modules" / "axe-core" / "axe.min.js"
_REPORT = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


class Tab:
    """A page of a browser, and all that was complained about in it."""

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(_REPORT)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.statuses: dict[str, int] = {}
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self._on_failure)
        self.page.on("response", lambda response: self.statuses.update({response.url: response.status}))

    def _on_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a player ends a request when it has enough
            self.complaints.append(f"{request.failure}: {request.url}")

    def wait_until(self, expression: str) -> None:
        """Return once this holds; Playwright's own way to wait evaluates text in the page, which its policy forbids."""
        for _ in range(600):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"it did not happen: {expression}")

    def violations(self) -> list[str]:
        """Return what the Content-Security-Policy of the page has blocked."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def serious_findings(self) -> list[str]:
        """Return what axe-core finds serious or critical."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")
        return [
            f"{one['id']}: {one['nodes'][0]['html'][:200]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
