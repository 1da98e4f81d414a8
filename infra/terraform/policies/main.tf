# Who may do what in the store and who may become whom, as documents: no provider, so `terraform
# test` runs anywhere, and the tests of the project try them on an S3 service that enforces them.
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

variable "answers" {
  description = "Prefixes of the same bucket that `nocturne score` writes to."
  type        = list(string)
  default     = ["outgoing"]
}

variable "oidc_provider_arn" {
  description = "Of the EKS cluster, for roles of service accounts."
  type        = string
}

variable "oidc_issuer_url" {
  description = "Of the same cluster, `https://...`."
  type        = string
}

locals {
  arn    = "arn:aws:s3:::${var.bucket}"
  issuer = replace(var.oidc_issuer_url, "https://", "")
  accounts = {
    trainer   = "nocturne-worker"
    promoter  = "nocturne-promoter"
    server    = "nocturne-scoring"
    retention = "nocturne-retention"
    registry  = "nocturne-mlflow"
  }
  all = [
    "ledger", "leases", "monitoring", "nights", "probations", "probe", "quarantine",
    "references", "reports", "requests", "serving", "shadow", "snapshots", "tuning", "validations",
  ]
  store = [for one in local.all : "store/${one}"]
  # A role without a prefix here cannot see it. The bucket is versioned, and nobody deletes a version for good.
  roles = {
    trainer = {
      reads   = concat(local.store, var.sources, var.answers)
      writes  = setunion(setsubtract(local.store, ["store/serving"]), var.answers)
      deletes = concat(["store/leases"], var.answers) # a batch's own, when it ends or is asked for anew
    }
    promoter = {
      reads   = setsubtract(local.store, ["store/requests", "store/quarantine"])
      writes  = ["store/ledger", "store/probe"]
      deletes = []
    }
    server = {
      reads   = ["store/ledger", "store/shadow"]
      writes  = ["store/requests", "store/serving", "store/shadow"]
      deletes = []
    }
    retention = { # who runs `nocturne gc`
      reads   = local.store
      writes  = ["store/leases", "store/ledger", "store/probe"]
      deletes = [for one in ["monitoring", "quarantine", "references", "reports", "requests", "snapshots"] : "store/${one}"]
    }
    registry = { # MLflow's server, which deletes what `nocturne gc` asks it to
      reads   = ["mlflow"]
      writes  = ["mlflow"]
      deletes = ["mlflow"]
    }
  }
  statements = {
    for role, may in local.roles : role => concat([
      {
        Sid       = "List"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [local.arn]
        Condition = { StringLike = { "s3:prefix" = [for one in setunion(may.reads, may.writes) : "${one}/*"] } }
      }
      ], [
      for name, places in { Read = may.reads, Write = may.writes, Delete = may.deletes } : {
        Sid                      = name
        Effect                   = "Allow"
        Action                   = ["s3:${ { Read = "Get", Write = "Put", Delete = "Delete" }[name]}Object"]
        Resource                 = [for one in places : "${local.arn}/${one}/*"]
      } if length(places) > 0
    ])
  }
}

output "documents" {
  description = "Policy documents by role."
  value       = { for role, statements in local.statements : role => jsonencode({ Version = "2012-10-17", Statement = statements }) }
}

output "trust" {
  description = "Trust policy documents by role: one service account of the cluster may become it."
  value = {
    for role, account in local.accounts : role => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = var.oidc_provider_arn }
        Condition = { StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:nocturne:${account}"
        } }
      }]
    })
  }
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
