//! Configuration, permissions and quotas: shapes of requests.

use super::notation::*;

pub(super) const DESCRIBE_CONFIGS: Shape = shape(
    4,
    &[
        field(
            "resources",
            array(&[
                field("resourceType", INT8),
                field("resourceName", STRING),
                field("configurationKeys", array_of(&STRING)).nullable(),
            ]),
        ),
        field("includeSynonyms", BOOL).since(1),
        field("includeDocumentation", BOOL).since(3),
    ],
);

pub(super) const ALTER_CONFIGS: Shape = shape(
    2,
    &[
        field(
            "resources",
            array(&[
                field("resourceType", INT8),
                field("resourceName", STRING),
                field("configs", array(&[field("name", STRING), field("value", STRING).nullable()])),
            ]),
        ),
        field("validateOnly", BOOL),
    ],
);

pub(super) const INCREMENTAL_ALTER_CONFIGS: Shape = shape(
    1,
    &[
        field(
            "resources",
            array(&[
                field("resourceType", INT8),
                field("resourceName", STRING),
                field(
                    "configs",
                    array(&[
                        field("name", STRING),
                        field("configOperation", INT8),
                        field("value", STRING).nullable(),
                    ]),
                ),
            ]),
        ),
        field("validateOnly", BOOL),
    ],
);

pub(super) const LIST_CONFIG_RESOURCES: Shape = shape(0, &[field("resourceTypes", array_of(&INT8)).since(1)]);

pub(super) const DESCRIBE_ACLS: Shape = shape(
    2,
    &[
        field("resourceTypeFilter", INT8),
        field("resourceNameFilter", STRING).nullable(),
        field("patternTypeFilter", INT8).since(1),
        field("principalFilter", STRING).nullable(),
        field("hostFilter", STRING).nullable(),
        field("operation", INT8),
        field("permissionType", INT8),
    ],
);

pub(super) const CREATE_ACLS: Shape = shape(
    2,
    &[field(
        "creations",
        array(&[
            field("resourceType", INT8),
            field("resourceName", STRING),
            field("resourcePatternType", INT8).since(1),
            field("principal", STRING),
            field("host", STRING),
            field("operation", INT8),
            field("permissionType", INT8),
        ]),
    )],
);

pub(super) const DELETE_ACLS: Shape = shape(
    2,
    &[field(
        "filters",
        array(&[
            field("resourceTypeFilter", INT8),
            field("resourceNameFilter", STRING).nullable(),
            field("patternTypeFilter", INT8).since(1),
            field("principalFilter", STRING).nullable(),
            field("hostFilter", STRING).nullable(),
            field("operation", INT8),
            field("permissionType", INT8),
        ]),
    )],
);

pub(super) const DESCRIBE_CLIENT_QUOTAS: Shape = shape(
    1,
    &[
        field(
            "components",
            array(&[
                field("entityType", STRING),
                field("matchType", INT8),
                field("match", STRING).nullable(),
            ]),
        ),
        field("strict", BOOL),
    ],
);

pub(super) const ALTER_CLIENT_QUOTAS: Shape = shape(
    1,
    &[
        field(
            "entries",
            array(&[
                field(
                    "entity",
                    array(&[field("entityType", STRING), field("entityName", STRING).nullable()]),
                ),
                field("ops", array(&[field("key", STRING), field("value", FLOAT64), field("remove", BOOL)])),
            ]),
        ),
        field("validateOnly", BOOL),
    ],
);

pub(super) const DESCRIBE_USER_SCRAM_CREDENTIALS: Shape =
    shape(0, &[field("users", array(&[field("name", STRING)])).nullable()]);
