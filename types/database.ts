
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  
  "public": {
          Tables: {
            "credit_holds": {
                  Row: {
                    "amount": number,"captured_amount": number | null,"created_at": string,"description": string | null,"ended_at": string | null,"expires_at": string,"id": string,"idempotency_key": string | null,"metadata": NonNullable<Json>,"seq": number | null,"status": Database["public"]['Enums']["credit_hold_status"],"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "amount": number,"captured_amount"?: number | null,"created_at": string,"description"?: string | null,"ended_at"?: string | null,"expires_at": string,"id"?: string,"idempotency_key"?: string | null,"metadata"?: NonNullable<Json>,"seq"?: number | null,"status"?: Database["public"]['Enums']["credit_hold_status"],"user_id": string
                  }
                  Update: {
                    "amount"?: number,"captured_amount"?: number | null,"created_at"?: string,"description"?: string | null,"ended_at"?: string | null,"expires_at"?: string,"id"?: string,"idempotency_key"?: string | null,"metadata"?: NonNullable<Json>,"seq"?: number | null,"status"?: Database["public"]['Enums']["credit_hold_status"],"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"credit_products": {
                  Row: {
                    "active_from": string | null,"active_to": string | null,"bonus_credits": number,"credits": number,"currency": string | null,"entitlement": string | null,"expires_after": string | null,"price_cents": number | null,"product_id": string,"store": string,"trial_credits": number,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "active_from"?: string | null,"active_to"?: string | null,"bonus_credits"?: number,"credits": number,"currency"?: string | null,"entitlement"?: string | null,"expires_after"?: string | null,"price_cents"?: number | null,"product_id": string,"store"?: string,"trial_credits"?: number,"updated_at"?: string
                  }
                  Update: {
                    "active_from"?: string | null,"active_to"?: string | null,"bonus_credits"?: number,"credits"?: number,"currency"?: string | null,"entitlement"?: string | null,"expires_after"?: string | null,"price_cents"?: number | null,"product_id"?: string,"store"?: string,"trial_credits"?: number,"updated_at"?: string
                  }
                  Relationships: [
                    
                  ]
                },"credit_transactions": {
                  Row: {
                    "amount": number,"balance_after": number,"created_at": string,"description": string | null,"idempotency_key": string | null,"metadata": NonNullable<Json>,"seq": number,"type": Database["public"]['Enums']["credit_transaction_type"],"user_id": string,"id": string | null
                  }
                  ComputedFields: "id"
                  Insert: {
                    "amount": number,"balance_after"?: number,"created_at"?: string,"description"?: string | null,"idempotency_key"?: string | null,"metadata"?: NonNullable<Json>,"seq"?: number,"type": Database["public"]['Enums']["credit_transaction_type"],"user_id": string
                  }
                  Update: {
                    "amount"?: number,"balance_after"?: number,"created_at"?: string,"description"?: string | null,"idempotency_key"?: string | null,"metadata"?: NonNullable<Json>,"seq"?: number,"type"?: Database["public"]['Enums']["credit_transaction_type"],"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"exports": {
                  Row: {
                    "asset_path": string | null,"asset_url": string | null,"created_at": string,"error_message": string | null,"id": string,"idempotency_key": string | null,"layer_ids": (string)[] | null,"options": NonNullable<Json>,"paid_by": Database["public"]['Enums']["export_payment"] | null,"project_id": string,"seq": number | null,"status": string,"type": string,"updated_at": string,"user_id": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "asset_path"?: string | null,"asset_url"?: string | null,"created_at"?: string,"error_message"?: string | null,"id"?: string,"idempotency_key"?: string | null,"layer_ids"?: (string)[] | null,"options"?: NonNullable<Json>,"paid_by"?: Database["public"]['Enums']["export_payment"] | null,"project_id": string,"seq"?: number | null,"status"?: string,"type": string,"updated_at"?: string,"user_id"?: string | null
                  }
                  Update: {
                    "asset_path"?: string | null,"asset_url"?: string | null,"created_at"?: string,"error_message"?: string | null,"id"?: string,"idempotency_key"?: string | null,"layer_ids"?: (string)[] | null,"options"?: NonNullable<Json>,"paid_by"?: Database["public"]['Enums']["export_payment"] | null,"project_id"?: string,"seq"?: number | null,"status"?: string,"type"?: string,"updated_at"?: string,"user_id"?: string | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "exports_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"profiles": {
                  Row: {
                    "created_at": string,"email": string | null,"id": string,"updated_at": string,"credits": number | null
                  }
                  ComputedFields: "credits"
                  Insert: {
                    "created_at"?: string,"email"?: string | null,"id": string,"updated_at"?: string
                  }
                  Update: {
                    "created_at"?: string,"email"?: string | null,"id"?: string,"updated_at"?: string
                  }
                  Relationships: [
                    
                  ]
                },"project_layers": {
                  Row: {
                    "bbox": Json | null,"created_at": string,"height": number | null,"id": string,"name": string | null,"png_path": string | null,"png_url": string | null,"project_id": string,"transform": Json | null,"visible": boolean,"width": number | null,"z_index": number
                  }
                  ComputedFields: never
                  Insert: {
                    "bbox"?: Json | null,"created_at"?: string,"height"?: number | null,"id"?: string,"name"?: string | null,"png_path"?: string | null,"png_url"?: string | null,"project_id": string,"transform"?: Json | null,"visible"?: boolean,"width"?: number | null,"z_index"?: number
                  }
                  Update: {
                    "bbox"?: Json | null,"created_at"?: string,"height"?: number | null,"id"?: string,"name"?: string | null,"png_path"?: string | null,"png_url"?: string | null,"project_id"?: string,"transform"?: Json | null,"visible"?: boolean,"width"?: number | null,"z_index"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "project_layers_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"projects": {
                  Row: {
                    "created_at": string,"id": string,"manifest_path": string | null,"params": NonNullable<Json>,"source_image_path": string | null,"status": string,"thumbnail_path": string | null,"updated_at": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"id"?: string,"manifest_path"?: string | null,"params"?: NonNullable<Json>,"source_image_path"?: string | null,"status"?: string,"thumbnail_path"?: string | null,"updated_at"?: string,"user_id": string
                  }
                  Update: {
                    "created_at"?: string,"id"?: string,"manifest_path"?: string | null,"params"?: NonNullable<Json>,"source_image_path"?: string | null,"status"?: string,"thumbnail_path"?: string | null,"updated_at"?: string,"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"purchase_transactions": {
                  Row: {
                    "created_at": string,"credits": number,"credits_expire_at": string | null,"currency": string | null,"entitled_until": string | null,"entitlements": (string)[],"environment": string,"payload": NonNullable<Json>,"price_cents": number | null,"product_id": string,"provider": string,"quantity": number,"refunded_credits": number,"seq": number | null,"status": Database["public"]['Enums']["purchase_status"],"store": string,"transaction_id": string,"user_id": string,"verified_at": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at": string,"credits": number,"credits_expire_at"?: string | null,"currency"?: string | null,"entitled_until"?: string | null,"entitlements"?: (string)[],"environment": string,"payload"?: NonNullable<Json>,"price_cents"?: number | null,"product_id": string,"provider": string,"quantity"?: number,"refunded_credits"?: number,"seq"?: number | null,"status": Database["public"]['Enums']["purchase_status"],"store": string,"transaction_id": string,"user_id": string,"verified_at"?: string | null
                  }
                  Update: {
                    "created_at"?: string,"credits"?: number,"credits_expire_at"?: string | null,"currency"?: string | null,"entitled_until"?: string | null,"entitlements"?: (string)[],"environment"?: string,"payload"?: NonNullable<Json>,"price_cents"?: number | null,"product_id"?: string,"provider"?: string,"quantity"?: number,"refunded_credits"?: number,"seq"?: number | null,"status"?: Database["public"]['Enums']["purchase_status"],"store"?: string,"transaction_id"?: string,"user_id"?: string,"verified_at"?: string | null
                  }
                  Relationships: [
                    
                  ]
                },"user_credits": {
                  Row: {
                    "alert_below": number | null,"created_at": string,"credits_held": number,"credits_remaining": number,"last_bonus_date": string | null,"last_hold_at": string | null,"last_purchase_at": string | null,"last_seq": number,"monthly_bonus_credits": number,"next_due_at": string | null,"total_credits": number,"updated_at": string,"used_credits": number,"user_id": string,"credits_available": number | null
                  }
                  ComputedFields: "credits_available"
                  Insert: {
                    "alert_below"?: number | null,"created_at"?: string,"credits_held"?: number,"credits_remaining"?: number,"last_bonus_date"?: string | null,"last_hold_at"?: string | null,"last_purchase_at"?: string | null,"last_seq"?: number,"monthly_bonus_credits"?: number,"next_due_at"?: string | null,"total_credits"?: number,"updated_at"?: string,"used_credits"?: number,"user_id": string
                  }
                  Update: {
                    "alert_below"?: number | null,"created_at"?: string,"credits_held"?: number,"credits_remaining"?: number,"last_bonus_date"?: string | null,"last_hold_at"?: string | null,"last_purchase_at"?: string | null,"last_seq"?: number,"monthly_bonus_credits"?: number,"next_due_at"?: string | null,"total_credits"?: number,"updated_at"?: string,"used_credits"?: number,"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"user_entitlements": {
                  Row: {
                    "active_since": string,"active_until": string | null,"entitlement": string,"granted_by": string | null,"granted_until": string | null,"source": string,"transferred_at": string | null,"updated_at": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "active_since"?: string,"active_until"?: string | null,"entitlement": string,"granted_by"?: string | null,"granted_until"?: string | null,"source": string,"transferred_at"?: string | null,"updated_at": string,"user_id": string
                  }
                  Update: {
                    "active_since"?: string,"active_until"?: string | null,"entitlement"?: string,"granted_by"?: string | null,"granted_until"?: string | null,"source"?: string,"transferred_at"?: string | null,"updated_at"?: string,"user_id"?: string
                  }
                  Relationships: [
                    
                  ]
                }
          }
          Views: {
            "users": {
                  Row: {
                    "credits_balance": number | null,"email": string | null,"id": string
                  }
                  ComputedFields: never
                  Insert: {
                           "credits_balance"?: never,"email"?: string | null,"id"?: string | null
                         }
                        Update: {
                           "credits_balance"?: never,"email"?: string | null,"id"?: string | null
                         }
                        Relationships: [
                    
                  ]
                }
          }
          Functions: {
            "ack_outbox":
{ Args: { "ids": (string)[] }; Returns: number
                           },
"add_credits_for":
{ Args: { "amount": number,"description"?: string,"expires_at"?: string,"idempotency_key"?: string,"metadata"?: Json,"type"?: Database["public"]['Enums']["credit_transaction_type"],"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"capture_hold_for":
{ Args: { "amount"?: number,"description"?: string,"hold_id": string,"idempotency_key"?: string,"metadata"?: Json,"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"claim_outbox":
{ Args: { "lease"?: string,"max_items"?: number }; Returns: Database["public"]['CompositeTypes']["outbox_item"][]
                          SetofOptions: {
        from: "*"
        to: "outbox_item"
        isOneToOne: false
        isSetofReturn: true
      } },
"consume_credit":
{ Args: { "amount"?: number,"description"?: string,"idempotency_key"?: string,"metadata"?: Json }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"consume_credit_and_create_export":
{ Args: { "idempotency_key"?: string,"layer_ids"?: (string)[],"options"?: Json,"project_id": string,"type": string }; Returns: {
              "asset_path": string | null,
"asset_url": string | null,
"created_at": string,
"error_message": string | null,
"id": string,
"idempotency_key": string | null,
"layer_ids": (string)[] | null,
"options": NonNullable<Json>,
"paid_by": Database["public"]['Enums']["export_payment"] | null,
"project_id": string,
"seq": number | null,
"status": string,
"type": string,
"updated_at": string,
"user_id": string | null
            }
                          SetofOptions: {
        from: "*"
        to: "exports"
        isOneToOne: true
        isSetofReturn: false
      } },
"consume_credit_and_create_export_for":
{ Args: { "idempotency_key"?: string,"layer_ids"?: (string)[],"options"?: Json,"project_id": string,"type": string,"user_id": string }; Returns: {
              "asset_path": string | null,
"asset_url": string | null,
"created_at": string,
"error_message": string | null,
"id": string,
"idempotency_key": string | null,
"layer_ids": (string)[] | null,
"options": NonNullable<Json>,
"paid_by": Database["public"]['Enums']["export_payment"] | null,
"project_id": string,
"seq": number | null,
"status": string,
"type": string,
"updated_at": string,
"user_id": string | null
            }
                          SetofOptions: {
        from: "*"
        to: "exports"
        isOneToOne: true
        isSetofReturn: false
      } },
"consume_credit_for":
{ Args: { "amount"?: number,"description"?: string,"idempotency_key"?: string,"metadata"?: Json,"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"credits":
{ Args: { "profile": Omit<Database["public"]['Tables']["profiles"]['Row'], Database["public"]['Tables']["profiles"]['ComputedFields']> }; Returns: number
                           },
"credits_available":
{ Args: { "account": Omit<Database["public"]['Tables']["user_credits"]['Row'], Database["public"]['Tables']["user_credits"]['ComputedFields']> }; Returns: number
                           },
"delete_user_account":
{ Args: Record<PropertyKey, never>; Returns: Database["public"]['CompositeTypes']["account_deletion"]
                          SetofOptions: {
        from: "*"
        to: "account_deletion"
        isOneToOne: true
        isSetofReturn: false
      } },
"delete_user_account_for":
{ Args: { "user_id": string }; Returns: Database["public"]['CompositeTypes']["account_deletion"]
                          SetofOptions: {
        from: "*"
        to: "account_deletion"
        isOneToOne: true
        isSetofReturn: false
      } },
"end_recurring_grant":
{ Args: { "name": string,"user_id"?: string }; Returns: Database["public"]['CompositeTypes']["recurring_grant"]
                          SetofOptions: {
        from: "*"
        to: "recurring_grant"
        isOneToOne: true
        isSetofReturn: false
      } },
"explain_balance_for":
{ Args: { "user_id": string }; Returns: Json
                           },
"export_user_data_for":
{ Args: { "user_id": string }; Returns: Json
                           },
"get_balance_at_for":
{ Args: { "at": string,"user_id": string }; Returns: number
                           },
"get_operation":
{ Args: { "idempotency_key": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: true
      } },
"get_operation_for":
{ Args: { "idempotency_key": string,"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: true
      } },
"get_transaction_history":
{ Args: { "before_seq"?: number,"page_size"?: number,"type"?: Database["public"]['Enums']["credit_transaction_type"] }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }[]
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: false
        isSetofReturn: true
      } },
"get_transaction_history_for":
{ Args: { "before_seq"?: number,"page_size"?: number,"type"?: Database["public"]['Enums']["credit_transaction_type"],"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }[]
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: false
        isSetofReturn: true
      } },
"get_usage":
{ Args: { "since": string,"until"?: string }; Returns: Database["public"]['CompositeTypes']["credit_usage"]
                          SetofOptions: {
        from: "*"
        to: "credit_usage"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_usage_for":
{ Args: { "since": string,"until"?: string,"user_id": string }; Returns: Database["public"]['CompositeTypes']["credit_usage"]
                          SetofOptions: {
        from: "*"
        to: "credit_usage"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_user_credits":
{ Args: Record<PropertyKey, never>; Returns: {
              "alert_below": number | null,
"created_at": string,
"credits_held": number,
"credits_remaining": number,
"last_bonus_date": string | null,
"last_hold_at": string | null,
"last_purchase_at": string | null,
"last_seq": number,
"monthly_bonus_credits": number,
"next_due_at": string | null,
"total_credits": number,
"updated_at": string,
"used_credits": number,
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "user_credits"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_user_credits_for":
{ Args: { "user_id": string }; Returns: {
              "alert_below": number | null,
"created_at": string,
"credits_held": number,
"credits_remaining": number,
"last_bonus_date": string | null,
"last_hold_at": string | null,
"last_purchase_at": string | null,
"last_seq": number,
"monthly_bonus_credits": number,
"next_due_at": string | null,
"total_credits": number,
"updated_at": string,
"used_credits": number,
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "user_credits"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_user_stats":
{ Args: Record<PropertyKey, never>; Returns: Database["public"]['CompositeTypes']["user_stats"]
                          SetofOptions: {
        from: "*"
        to: "user_stats"
        isOneToOne: true
        isSetofReturn: false
      } },
"get_user_stats_for":
{ Args: { "user_id": string }; Returns: Database["public"]['CompositeTypes']["user_stats"]
                          SetofOptions: {
        from: "*"
        to: "user_stats"
        isOneToOne: true
        isSetofReturn: false
      } },
"grant_entitlement_for":
{ Args: { "active_until"?: string,"entitlement": string,"user_id": string }; Returns: {
              "active_since": string,
"active_until": string | null,
"entitlement": string,
"granted_by": string | null,
"granted_until": string | null,
"source": string,
"transferred_at": string | null,
"updated_at": string,
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "user_entitlements"
        isOneToOne: true
        isSetofReturn: false
      } },
"has_entitlement":
{ Args: { "entitlement": string }; Returns: boolean
                           },
"has_entitlement_for":
{ Args: { "entitlement": string,"user_id": string }; Returns: boolean
                           },
"id":
{ Args: { "entry": Omit<Database["public"]['Tables']["credit_transactions"]['Row'], Database["public"]['Tables']["credit_transactions"]['ComputedFields']> }; Returns: string
                           },
"process_revenuecat_event":
{ Args: { "body": Json,"deferred"?: boolean }; Returns: Database["public"]['CompositeTypes']["store_event"]
                          SetofOptions: {
        from: "*"
        to: "store_event"
        isOneToOne: true
        isSetofReturn: false
      } },
"process_stripe_event":
{ Args: { "body": Json,"deferred"?: boolean }; Returns: Database["public"]['CompositeTypes']["store_event"]
                          SetofOptions: {
        from: "*"
        to: "store_event"
        isOneToOne: true
        isSetofReturn: false
      } },
"record_purchase_for":
{ Args: { "currency"?: string,"environment"?: string,"payload"?: Json,"price_cents"?: number,"product_id": string,"quantity"?: number,"store": string,"transaction_id": string,"user_id": string }; Returns: {
              "created_at": string,
"credits": number,
"credits_expire_at": string | null,
"currency": string | null,
"entitled_until": string | null,
"entitlements": (string)[],
"environment": string,
"payload": NonNullable<Json>,
"price_cents": number | null,
"product_id": string,
"provider": string,
"quantity": number,
"refunded_credits": number,
"seq": number | null,
"status": Database["public"]['Enums']["purchase_status"],
"store": string,
"transaction_id": string,
"user_id": string,
"verified_at": string | null
            }
                          SetofOptions: {
        from: "*"
        to: "purchase_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"refund_consumption_for":
{ Args: { "amount"?: number,"description"?: string,"idempotency_key"?: string,"metadata"?: Json,"seq": number,"user_id": string }; Returns: {
              "amount": number,
"balance_after": number,
"created_at": string,
"description": string | null,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number,
"type": Database["public"]['Enums']["credit_transaction_type"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"refund_purchase":
{ Args: { "credits"?: number,"environment"?: string,"refund_id": string,"store": string,"transaction_id": string }; Returns: {
              "created_at": string,
"credits": number,
"credits_expire_at": string | null,
"currency": string | null,
"entitled_until": string | null,
"entitlements": (string)[],
"environment": string,
"payload": NonNullable<Json>,
"price_cents": number | null,
"product_id": string,
"provider": string,
"quantity": number,
"refunded_credits": number,
"seq": number | null,
"status": Database["public"]['Enums']["purchase_status"],
"store": string,
"transaction_id": string,
"user_id": string,
"verified_at": string | null
            }
                          SetofOptions: {
        from: "*"
        to: "purchase_transactions"
        isOneToOne: true
        isSetofReturn: false
      } },
"release_hold_for":
{ Args: { "hold_id": string,"user_id": string }; Returns: {
              "amount": number,
"captured_amount": number | null,
"created_at": string,
"description": string | null,
"ended_at": string | null,
"expires_at": string,
"id": string,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number | null,
"status": Database["public"]['Enums']["credit_hold_status"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_holds"
        isOneToOne: true
        isSetofReturn: false
      } },
"reprocess_store_event":
{ Args: { "event_id": string,"provider": string }; Returns: Database["public"]['CompositeTypes']["store_event"]
                          SetofOptions: {
        from: "*"
        to: "store_event"
        isOneToOne: true
        isSetofReturn: false
      } },
"reserve_credits_for":
{ Args: { "amount": number,"description"?: string,"expires_in"?: string,"idempotency_key"?: string,"metadata"?: Json,"user_id": string }; Returns: {
              "amount": number,
"captured_amount": number | null,
"created_at": string,
"description": string | null,
"ended_at": string | null,
"expires_at": string,
"id": string,
"idempotency_key": string | null,
"metadata": NonNullable<Json>,
"seq": number | null,
"status": Database["public"]['Enums']["credit_hold_status"],
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "credit_holds"
        isOneToOne: true
        isSetofReturn: false
      } },
"revenuecat_webhook":
{ Args: { "": Json }; Returns: Json
                           },
"run_maintenance":
{ Args: { "max_items"?: number }; Returns: Database["public"]['CompositeTypes']["maintenance_report"]
                          SetofOptions: {
        from: "*"
        to: "maintenance_report"
        isOneToOne: true
        isSetofReturn: false
      } },
"set_alert_for":
{ Args: { "alert_below"?: number,"user_id": string }; Returns: {
              "alert_below": number | null,
"created_at": string,
"credits_held": number,
"credits_remaining": number,
"last_bonus_date": string | null,
"last_hold_at": string | null,
"last_purchase_at": string | null,
"last_seq": number,
"monthly_bonus_credits": number,
"next_due_at": string | null,
"total_credits": number,
"updated_at": string,
"used_credits": number,
"user_id": string
            }
                          SetofOptions: {
        from: "*"
        to: "user_credits"
        isOneToOne: true
        isSetofReturn: false
      } },
"set_recurring_grant":
{ Args: { "amount": number,"entitlement"?: string,"name": string,"period": Database["public"]['Enums']["grant_period"],"rollover"?: boolean,"user_id"?: string }; Returns: Database["public"]['CompositeTypes']["recurring_grant"]
                          SetofOptions: {
        from: "*"
        to: "recurring_grant"
        isOneToOne: true
        isSetofReturn: false
      } },
"stripe_webhook":
{ Args: { "": Json }; Returns: Json
                           },
"verify_ledger":
{ Args: { "user_id"?: string }; Returns: Database["public"]['CompositeTypes']["ledger_violation"][]
                          SetofOptions: {
        from: "*"
        to: "ledger_violation"
        isOneToOne: false
        isSetofReturn: true
      } }
          }
          Enums: {
            "credit_hold_status": "active"|"captured"|"released"|"expired","credit_transaction_type": "purchase"|"signup_bonus"|"monthly_bonus"|"bonus"|"consumption"|"refund"|"clawback"|"clawback_reversal"|"expiration"|"admin_adjustment","export_payment": "credits"|"entitlement","grant_period": "day"|"week"|"month","purchase_status": "pending"|"completed"|"failed"|"refunded","store_event_state": "pending"|"parked"|"failed"|"ignored"|"processed"
          }
          CompositeTypes: {
            "account_deletion": {
                        "user_id": string | null,"deleted_at": string | null,"credits_written_off": number | null,"removed": Json | null
                      },"credit_usage": {
                        "consumed": number | null,"refunded": number | null,"operations": number | null
                      },"ledger_violation": {
                        "user_id": string | null,"seq": number | null,"rule": string | null,"expected": number | null,"found": number | null,"hold_id": string | null
                      },"maintenance_report": {
                        "store_events": number | null,"store_events_waiting": number | null,"accounts": number | null,"expirations": number | null,"holds": number | null,"grants": number | null
                      },"outbox_item": {
                        "id": string | null,"kind": string | null,"user_id": string | null,"payload": Json | null,"attempts": number | null,"created_at": string | null
                      },"recurring_grant": {
                        "user_id": string | null,"name": string | null,"entitlement": string | null,"amount": number | null,"period": Database["public"]['Enums']["grant_period"] | null,"rollover": boolean | null,"starts_at": string | null,"ends_at": string | null
                      },"store_event": {
                        "provider": string | null,"event_id": string | null,"type": string | null,"state": Database["public"]['Enums']["store_event_state"] | null,"reason": string | null,"details": Json | null,"user_id": string | null,"store": string | null,"environment": string | null,"transaction_id": string | null,"product_id": string | null,"attempts": number | null,"received_at": string | null,"processed_at": string | null
                      },"user_stats": {
                        "projects": number | null,"exports": number | null,"lifetime_exports": number | null,"account_age": string | null,"credits": number | null
                      }
          }
        }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
  ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R
    }
    ? R
    : never
  : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I
    }
    ? I
    : never
  : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U
    }
    ? U
    : never
  : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
  ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
  ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never

export const Constants = {
  "public": {
          Enums: {
            "credit_hold_status": ["active", "captured", "released", "expired"],"credit_transaction_type": ["purchase", "signup_bonus", "monthly_bonus", "bonus", "consumption", "refund", "clawback", "clawback_reversal", "expiration", "admin_adjustment"],"export_payment": ["credits", "entitlement"],"grant_period": ["day", "week", "month"],"purchase_status": ["pending", "completed", "failed", "refunded"],"store_event_state": ["pending", "parked", "failed", "ignored", "processed"]
          }
        }
} as const
