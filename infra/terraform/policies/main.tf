# Who may do what in the store, as documents: no provider, so `terraform test` runs anywhere.
# The prefixes are those of the code; a test of the project keeps the two lists equal.

terraform {
  required_version = ">= 1.6"
}

variable "bucket" {
  description = "Name of the bucket of store and artifacts."
  type        = string
}

variable "sources" {
  description = "Prefixes of the same bucket that nights read and nobody here writes."
  type        = list(string)
  default     = ["incoming"]
}

locals {
  arn = "arn:aws:s3:::${var.bucket}"
  all = [
    "ledger", "leases", "monitoring", "nights", "probations", "probe", "quarantine",
    "references", "reports", "requests", "serving", "shadow", "snapshots", "tuning", "validations",
  ]
  # Nobody deletes; a role without a prefix here cannot see it.
  roles = {
    trainer  = { reads = local.all, writes = [for one in local.all : one if one != "serving"] }
    promoter = { reads = setsubtract(local.all, ["requests", "quarantine"]), writes = ["ledger", "probe"] }
    server   = { reads = ["ledger", "shadow"], writes = ["requests", "serving", "shadow"] }
  }
  statements = {
    for role, may in local.roles : role => concat([
      {
        Sid       = "List"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [local.arn]
        Condition = { StringLike = { "s3:prefix" = [for one in distinct(concat(tolist(may.reads), may.writes)) : "store/${one}/*"] } }
      },
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for one in may.reads : "${local.arn}/store/${one}/*"]
      },
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = [for one in may.writes : "${local.arn}/store/${one}/*"]
      },
    ])
  }
}

output "documents" {
  description = "Policy documents by role; `registry` is the MLflow server's."
  value = merge({
    for role, statements in local.statements : role => jsonencode({
      Version = "2012-10-17"
      Statement = concat(statements, role != "trainer" ? [] : [
        {
          Sid      = "Sources"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = [for one in var.sources : "${local.arn}/${one}/*"]
        }
      ])
    })
    }, {
    registry = jsonencode({
      Version = "2012-10-17"
      Statement = [
        { Sid = "List", Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.arn],
        Condition = { StringLike = { "s3:prefix" = ["mlflow/*"] } } },
        { Sid = "Artifacts", Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject"],
        Resource = ["${local.arn}/mlflow/*"] },
      ]
    })
  })
}

output "bucket_policy" {
  description = "What holds for everybody: TLS, and nothing is deleted from the ledger."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid      = "OnlyTLS", Effect = "Deny", Principal = "*", Action = "s3:*",
        Resource = [local.arn, "${local.arn}/*"],
      Condition = { Bool = { "aws:SecureTransport" = "false" } } },
      { Sid    = "LedgerStays", Effect = "Deny", Principal = "*",
        Action = ["s3:DeleteObject", "s3:DeleteObjectVersion"],
      Resource = ["${local.arn}/store/ledger/*"] },
    ]
  })
}
