"""XML documents as text."""

from __future__ import annotations

from xml.etree import ElementTree


def xml_text(root: ElementTree.Element, doctype: str) -> str:
    """A document with its declaration and document type, indented."""
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {doctype}>\n{body}\n'
