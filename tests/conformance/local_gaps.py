"""What the local API server is known not to do as the real one does: test -> what is missing.

These cases are expected to fail in local runs, and strictly: one that begins to pass has to leave
this table. Runs with `--kubeconfig` ignore it.
"""

_DUPLICATES = "a JSON key that stands twice is decoded as its last value, and nobody is told"
_TYPES = "values of the wrong type are found by validation (422), not by decoding (400)"
_PATCHED_TYPES = "a patch to a wrong type names the field it is in, not `patch`"
_METADATA_ONLY = "PartialObjectMetadata is not served"
_ITEM_KINDS = "items of lists carry kind and apiVersion, built-in kinds too"

_UNKNOWN = "test_crd_rules::test_an_unknown_field_is_refused_named_or_dropped_as_asked"
_REFUSAL = "test_errors::test_a_refusal_is_a_status_that_says_why"
_PATCH = "test_patches::test_a_patch_is_refused"

LOCAL_GAPS: dict[str, str] = {
    **{
        f"{_UNKNOWN}[{case}-{level}]": _DUPLICATES
        for case in ("duplicate", "duplicate-specimen")
        for level in ("Strict", "Warn", "")
    },
    f"{_REFUSAL}[field-of-another-type]": _TYPES,
    f"{_REFUSAL}[pod-field-of-another-type]": _TYPES,
    f"{_REFUSAL}[label-of-another-type]": _TYPES,
    f"{_PATCH}[merge-wrong-type]": _PATCHED_TYPES,
    f"{_PATCH}[strategic-wrong-type]": _PATCHED_TYPES,
    "test_tables::test_a_list_can_be_reduced_to_metadata[secrets]": _METADATA_ONLY,
    "test_tables::test_a_list_can_be_reduced_to_metadata[specimens]": _METADATA_ONLY,
    "test_tables::test_an_object_can_be_reduced_to_metadata": _METADATA_ONLY,
    "test_lists::test_items_of_built_in_kinds_do_not_repeat_their_kind[secrets-False]": _ITEM_KINDS,
}
