"""A receipt on paper: a PDF that carries its own letters and a QR code that leads to the check.

Everything on it is in the receipt; what makes it proof is the signed file, which the PDF carries inside and the last
lines name by its fingerprint.
"""

from io import BytesIO

import pylopdf_fonts_zh_cn
import segno
from flask_babel import gettext as _
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from consent.web.receipt_view import Pairs, ReceiptView

MARGIN, QR_WIDTH, LABEL_WIDTH = 18.0, 32.0, 38.0  # millimetres
BODY, SMALL, HEAD, TITLE = 10.5, 8.5, 12.0, 18.0  # points
INK, MUTED, LINE = (28, 34, 48), (96, 104, 120), (214, 219, 227)


class Paper(FPDF):
    """A4 with the number of the receipt and of the page at the foot."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        self.set_margin(MARGIN)
        self.set_auto_page_break(auto=True, margin=MARGIN)
        self.add_font("sans", fname=pylopdf_fonts_zh_cn.sans_path())
        self.set_font("sans", size=BODY)

    def footer(self) -> None:
        """Called by the library at the end of each page."""
        self.set_y(-12)
        self.ink(SMALL, MUTED)
        self.cell(0, 5, f"{self._foot} · {self.page_no()}/{{nb}}", align="C")

    def ink(self, size: float, colour: tuple[int, int, int] = INK) -> None:
        """Size and colour of what is written next."""
        self.set_font_size(size)
        self.set_text_color(*colour)

    def text_line(self, text: str, size: float = BODY, colour: tuple[int, int, int] = INK) -> None:
        """A paragraph over the whole width."""
        self.ink(size, colour)
        self.multi_cell(0, size * 0.55, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def heading(self, text: str) -> None:
        """A line, and the title of what follows, never alone at the foot of a page."""
        if self.will_page_break(24):
            self.add_page()
        self.ln(3)
        self.set_draw_color(*LINE)
        self.line(MARGIN, self.get_y(), self.w - MARGIN, self.get_y())
        self.ln(2)
        self.text_line(text, HEAD)
        self.ln(1)

    def rows(self, pairs: Pairs) -> None:
        """Label and value, one below the other."""
        for label, value in pairs:
            if self.will_page_break(12):
                self.add_page()
            top = self.get_y()
            self.ink(SMALL, MUTED)
            self.multi_cell(LABEL_WIDTH - 2, 5, label, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            below, page = self.get_y(), self.page
            self.set_y(top)
            self.set_x(MARGIN + LABEL_WIDTH)
            self.ink(BODY)
            self.multi_cell(0, 5.6, value, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            if self.page == page:
                self.set_y(max(self.get_y(), below))


def write(receipt: ReceiptView, *, digest: str, check_url: str, language: str, file: bytes) -> bytes:
    """The PDF.

    ``digest``: of what was signed; ``check_url``: what the QR code says; ``language``: a BCP 47 tag; ``file``: the
    signed file.
    """
    paper = Paper(receipt.receipt_id)
    paper.set_lang(language)
    paper.set_title(_("Receipt"))
    # One file, compressed: this is what receipt_check and the published program look for.
    paper.embed_file(bytes=file, basename=f"{receipt.receipt_id}.json", mime_type="application/json", compress=True)
    paper.add_page()
    _top(paper, receipt, check_url)
    if receipt.changes:
        paper.heading(_("What has changed"))
        paper.rows(receipt.changes)
    paper.heading(_("Who"))
    paper.rows(receipt.party)
    paper.heading(_("In order to"))
    paper.text_line(receipt.purpose)
    paper.rows([(_("Reference number"), receipt.reference_no)] if receipt.reference_no else [])
    _what(paper, receipt)
    paper.heading(_("On these terms"))
    paper.rows(receipt.terms)
    if receipt.how_to_stop:
        paper.rows([(_("How to stop"), receipt.how_to_stop)])
    paper.heading(_("Proof"))
    paper.rows([*receipt.proof, (_("Fingerprint of this receipt"), digest)])
    paper.text_line(_proof_words(), SMALL, MUTED)
    if receipt.shown:
        paper.heading(_("The text as it was shown"))
        paper.text_line(receipt.shown, SMALL)
    return bytes(paper.output())


def _proof_words() -> str:
    return str(
        _(
            "Paper can be altered, the signed file of this receipt cannot. Whoever wants to be sure asks for it. "
            "It is checked at the address of the QR code, or offline with the published program."
        )
    )


def _top(paper: Paper, receipt: ReceiptView, check_url: str) -> None:
    image = BytesIO()
    segno.make(check_url, micro=False, error="m").save(image, kind="png", scale=6, border=2)
    image.seek(0)
    top = paper.get_y()
    paper.image(image, x=paper.w - MARGIN - QR_WIDTH, y=top, w=QR_WIDTH, alt_text=_("QR code that leads to the check"))
    paper.set_right_margin(MARGIN + QR_WIDTH + 4)
    paper.text_line(_("Receipt"), TITLE)
    paper.ln(2)
    paper.text_line(receipt.what, HEAD)
    paper.ln(1)
    paper.rows([*receipt.event, (_("State when it was written"), receipt.state)])
    paper.set_right_margin(MARGIN)
    paper.set_y(max(paper.get_y(), top + QR_WIDTH))


def _what(paper: Paper, receipt: ReceiptView) -> None:
    if not receipt.items:
        return
    paper.heading(_("What you decided on"))
    for item in receipt.items:
        marks = [item.state, *([_("Sensitive")] if item.sensitive else [])]
        if paper.will_page_break(20):
            paper.add_page()
        paper.text_line(f"{item.label} ({_(', ').join(marks)})")
        paper.rows(item.pairs)
        paper.ln(2)
